# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Built dumps that are kept as files, because programs and examples send them without Python."""

from collections.abc import Callable
from pathlib import Path

from tests.support.minidumps.firefox import firefox
from tests.support.minidumps.samples import crash

ROOT = Path(__file__).resolve().parents[3]

FILES: dict[Path, Callable[[], bytes]] = {
    ROOT / "bin" / "sample_crash.dmp": firefox,
    ROOT / "tests" / "data" / "minidumps" / "built-linux.dmp": crash,
}
"""Functions that make each of the files. After a change, ``python -m tests.support.minidumps`` writes them."""
