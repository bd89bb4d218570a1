# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the Python that a program runs with: one that has the packages of requirements.txt, if there is one.

This module must run in any Python 3, even in one that is too old for the other modules.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_VENV = ROOT / ".venv"
_PACKAGES = ("everett", "gevent", "google_crc32c")
_PYTHON_3_11 = 0x030B0000


def _can_run() -> bool:
    return sys.hexversion >= _PYTHON_3_11 and all(find_spec(name) for name in _PACKAGES)


def _change_to_venv() -> None:
    """If this Python is too old or lacks packages, run the program again with the Python of the Makefile's .venv."""
    python = _VENV / "bin" / "python"
    if not _can_run() and python.exists() and Path(sys.prefix).resolve() != _VENV.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - the same program, by another Python
    if sys.hexversion < _PYTHON_3_11:
        sys.exit(f"{sys.argv[0]}: needs Python 3.11 or newer. 'make setup' finds one and makes .venv")


def require_packages() -> None:
    """End the program if this Python lacks the packages of requirements.txt."""
    if not _can_run():
        sys.exit(
            f"{sys.argv[0]}: needs the packages of requirements.txt: activate an environment that has them, "
            "or let 'make setup' make .venv"
        )


_change_to_venv()
