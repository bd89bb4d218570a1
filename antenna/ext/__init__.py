# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends: the classes that save crashes and publish their ids.

``crashstorage_base`` and ``crashpublish_base`` define what a backend does. ``antenna.crashmover`` calls the methods of
``CrashStorageBase`` and ``CrashPublishBase``, and authors of other backends subclass these. A backend has options and a
few methods: ``save_object`` or ``publish_crash``, ``verify`` for a start, and ``check_health`` for the heartbeat.

Each folder has the backends for one place: ``gcs`` and ``pubsub`` for Google Cloud, which use the transport in
``google``, and ``fs`` for directories. A backend makes one attempt within the deadline that it is given, and raises
``BackendError`` or ``CrashRefused`` if that fails. ``antenna.crashmover`` decides when to try again, and what goes to
the spool. ``tests/ext`` runs the backends against emulators, with a misbehaving proxy in between.
"""

from antenna.ext.crashpublish_base import TEST_ID, CrashPublishBase, NoOpCrashPublish
from antenna.ext.crashstorage_base import CrashStorageBase, NoOpCrashStorage, StorableCrash, StoredObject

__all__ = [
    "TEST_ID",
    "CrashPublishBase",
    "CrashStorageBase",
    "NoOpCrashPublish",
    "NoOpCrashStorage",
    "StorableCrash",
    "StoredObject",
]
