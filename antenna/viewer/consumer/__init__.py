# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds crashes and puts them into the index.

A source says which crashes there are that the index does not have. ``Consumer`` reads each of them, writes the index,
and tells the source only then. Killed at any moment, it finds the crash again, and a crash that is read twice ends in
the same rows.
"""

from antenna.viewer.consumer.consumer import Consumer, State
from antenna.viewer.consumer.sources import Pending, QueueSource, Source, StorageSource

__all__ = ["Consumer", "Pending", "QueueSource", "Source", "State", "StorageSource"]
