# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A durable queue on disk, for crashes that could not be saved and ids that could not be published.

It knows neither backends nor HTTP. ``crashmover`` writes to it and delivers what is in it.
"""

from antenna.spool.entry import Entry, EntryDamaged, Kind
from antenna.spool.spool import Spool, SpoolFull

__all__ = ["Entry", "EntryDamaged", "Kind", "Spool", "SpoolFull"]
