# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: collectors to attack."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.support.watch import Target
from tests.system.conftest import TOKEN, running_on_files


class StartTarget(Protocol):
    def __call__(self, **options: str) -> Target: ...


@pytest.fixture(scope="session")
def start_shared_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTarget]:
    """Function that starts a collector with one worker and with additional options."""
    with ExitStack() as running:

        def start(**options: str) -> Target:
            directory = tmp_path_factory.mktemp("target")
            temp_dir = directory / "temporary"
            temp_dir.mkdir()
            usual = {"BREAKPAD_TEMP_DIR": str(temp_dir), "BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": TOKEN}
            return Target(running.enter_context(running_on_files(directory, usual | options)), temp_dir)

        yield start


@pytest.fixture(scope="session")
def shared_target(start_shared_target: StartTarget) -> Target:
    """A collector with the default limits."""
    return start_shared_target()


@pytest.fixture
def target(shared_target: Target) -> Iterator[Target]:
    """A collector that has to work after the test as before."""
    with shared_target.stays_well():
        yield shared_target


@pytest.fixture(scope="session")
def impatient_target(start_shared_target: StartTarget) -> Target:
    """A collector that waits one second for a body."""
    return start_shared_target(BREAKPAD_BODY_TIMEOUT="1s")
