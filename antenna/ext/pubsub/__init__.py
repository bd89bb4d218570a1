# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The backend for Google Cloud Pub/Sub.

``crashpublish`` publishes ids through ``antenna.ext.google``. Ids of the same moment share one request. When
``publish_crash`` returns, Pub/Sub has acknowledged the id. An id may be published twice, if an answer was lost, and
processors have to be prepared for that. Tests are in tests/ext/pubsub, against an emulator.
"""
