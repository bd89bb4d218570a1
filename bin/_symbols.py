# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the store of symbols for the programs. It needs the standard library only, unless symbols are added."""

import argparse
import os
from pathlib import Path

from bin import _common  # isort: split

from antenna.symbols import Store

# Environment variable with the directory of the store, for a team whose crashes are in a bucket.
VARIABLE = "SYMBOLS_DIR"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the store."""
    parser.add_argument(
        "--symbols",
        metavar="DIR",
        type=Path,
        help=f"directory of the symbols (default: the one that the environment variable {VARIABLE} names, or else "
        "'symbols' in the directory of the crashes)",
    )


def store(directory: Path | None) -> Store | None:
    """Return the store in ``directory``, or the default store.

    Returns None if there is no directory of crashes either.
    """
    if directory is not None:
        return Store(directory)
    if os.environ.get(VARIABLE):
        return Store(Path(os.environ[VARIABLE]))
    root = os.environ.get("CRASHMOVER_CRASHSTORAGE_FS_ROOT")
    if root:
        return Store(Path(root) / "symbols")
    local = _common.ROOT / ".local" / "crashes"
    return Store(local / "symbols") if local.is_dir() else None
