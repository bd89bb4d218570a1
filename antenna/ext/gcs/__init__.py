# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The backend for Google Cloud Storage.

``crashstorage`` stores each object with one request, and compares the checksum in the answer with that of ``upload``,
which reads the content while it is sent. Requests go through ``antenna.ext.google``. When ``save_object`` returns, the
bucket has the object with the right content. Tools read crashes with Google's own client, which the server never
imports. Tests are in tests/ext/gcs, against an emulator and against a bucket that misbehaves.
"""
