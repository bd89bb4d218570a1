# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The index: an SQLite database with everything that the pages show.

``Index`` writes to it, ``top`` and ``queries`` read from it for the pages. ``rows`` has the row of a crash, ``schema``
the tables, and ``versions`` the order of versions. The index is a cache: if it is deleted, it is made again from the
storage. Only the notes that people have written about signatures are lost.
"""

from antenna.viewer.index.index import Index, advice
from antenna.viewer.rows import CrashRow, StackModule

__all__ = ["CrashRow", "Index", "StackModule", "advice"]
