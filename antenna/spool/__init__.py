# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A durable queue on disk, for crashes that could not be saved and ids that could not be published.

``antenna.crashmover`` writes entries and delivers them. The spool knows neither backends nor HTTP. It promises that an
entry which was added stays complete, and is claimed by one worker at a time, until it is delivered or set aside.
Neither a kill nor a loss of power at any moment changes that. Three calls keep the promise:

* fsync. The files of an entry are fsynced, then the directory that names them, before the entry appears.
* rename. An entry is made in ``tmp/`` and appears by one rename, which either happens or does not. It leaves the same
  way: a rename takes it out of sight, and only then are its files deleted. The directory of the new name is fsynced
  before the caller is told. If that fails, the rename is taken back.
* flock. A process that works on an entry, or on something in ``tmp/``, holds an flock on it. The kernel releases the
  lock when the process ends, however it ends. After locking, the name is looked up again and compared (samestat),
  because another worker may have delivered the entry while this process was opening it.

None of this waits for a lock of Python's, since it runs in native threads: see ``antenna.hub``. ``tests/spool`` kills
processes at each of these calls, and lets each call fail.
"""

from antenna.spool.entry import Entry, Kind
from antenna.spool.raw_crash import EntryDamaged
from antenna.spool.room import OutOfProportion, SpoolFull
from antenna.spool.spool import Spool

__all__ = ["Entry", "EntryDamaged", "Kind", "OutOfProportion", "Spool", "SpoolFull"]
