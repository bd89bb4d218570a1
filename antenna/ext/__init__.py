# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends: where crashes are saved, and where their ids are published.

``crashstorage_base`` and ``crashpublish_base`` say what a backend does: ``CrashStorageBase`` and ``CrashPublishBase``
are what ``crashmover`` calls, and what authors of other backends subclass. A backend is a class with its options and
a few verbs: ``save_object`` or ``publish_crash``, ``verify`` at a start, ``check_health`` for the heartbeat.

Each folder beside them has the backends for one place: ``gcs`` and ``pubsub`` for Google Cloud, on the transport in
``google``, and ``fs`` for directories. A backend makes one attempt and raises ``BackendError`` or ``CrashRefused``; it
keeps to the deadline it is given. When to try again, and what goes to the spool, is decided by ``crashmover``.
``tests/ext`` runs them against emulators, with a proxy between that misbehaves.
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
