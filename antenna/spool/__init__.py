# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A durable queue on disk, for crashes that could not be saved and ids that could not be published.

``crashmover`` writes to it and delivers what is in it. The spool knows neither backends nor HTTP. What it promises: an
entry that was added is there as a whole, in one worker's hands at a time, until it is delivered or set aside; neither a
kill nor a loss of power at any moment changes that. Three calls keep the promise:

* fsync. The files of an entry are fsynced, then the directory that names them, before the entry appears.
* rename. An entry is made in ``tmp/`` and appears by one rename, which either happens or does not. It leaves the same
  way: out of sight by a rename first, and only then are its files deleted. The directory of the new name is fsynced
  before anybody is told. If that fails, the rename is taken back.
* flock. Whoever works on an entry, or on something in ``tmp/``, holds an flock on it. The kernel releases it when the
  process ends, however it ends. After locking, the name is looked up again and compared (samestat): somebody else may
  have delivered the entry while this process was opening it.

Nothing of this waits for a lock of Python's, since it runs in native threads: see ``antenna.hub``.
``tests/spool`` kills processes at each of these calls, and lets each of them fail.
"""

from antenna.spool.entry import Entry, Kind
from antenna.spool.raw_crash import EntryDamaged
from antenna.spool.room import OutOfProportion, SpoolFull
from antenna.spool.spool import Spool

__all__ = ["Entry", "EntryDamaged", "Kind", "OutOfProportion", "Spool", "SpoolFull"]
