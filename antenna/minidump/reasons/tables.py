# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tables of the names of error codes, in text files beside this module.

Each line has a hexadecimal number and a name.
"""

from functools import cache
from pathlib import Path


@cache
def load_table(name: str) -> dict[int, str]:
    """Return names by number. The file is read when the first dump needs it."""
    lines = (Path(__file__).parent / name).read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {int(number, 16): text for number, text in pairs}
