# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: a spool."""

from pathlib import Path

import pytest

from antenna.spool import Spool
from tests.support.spools import make_spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return make_spool(tmp_path / "spool")


@pytest.fixture
def other_file_system(tmp_path: Path) -> Path:
    directory = Path("/dev/shm")  # noqa: S108 - a file system in memory, on Linux
    if not directory.is_dir() or directory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system: /dev/shm is missing, or the temporary directory is there")
    return directory
