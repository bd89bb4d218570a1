# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The index: an SQLite database of what the pages show.

``Index`` writes; ``top`` and ``queries`` answer the pages. It is a cache: deleted, it is made again from the storage,
but for the notes and states that people gave to signatures.
"""

from antenna.viewer.index.index import Index, advice
from antenna.viewer.index.rows import CrashRow, StackModule

__all__ = ["CrashRow", "Index", "StackModule", "advice"]
