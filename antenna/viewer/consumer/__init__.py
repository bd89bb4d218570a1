# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds crashes and puts them into the index.

A source yields the crashes that the index does not have yet. ``Consumer`` reads each crash, writes its row into the
index, and only then tells the source that the crash is done. If the viewer is killed at any moment, the source yields
the crash again. A crash that is read twice ends in the same rows.

``choice`` makes the source that VIEWER_SOURCE names. ``sources`` has those for the storage and for the directory queue,
``pubsub`` the one for a subscription.
"""

from antenna.viewer.consumer.consumer import Consumer, State
from antenna.viewer.consumer.sources import Pending, QueueSource, Source, StorageSource

__all__ = ["Consumer", "Pending", "QueueSource", "Source", "State", "StorageSource"]
