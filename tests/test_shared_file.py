# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The file in memory that the master and its workers share."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from antenna.shared_file import SIZE, create_shared_file, find_shared_file, locked


@pytest.fixture
def environ() -> dict[str, str]:
    environ: dict[str, str] = {}
    create_shared_file(environ)
    return environ


def descriptor_of(environ: dict[str, str]) -> int:
    descriptor = find_shared_file(environ)
    assert descriptor is not None
    return descriptor


def test_it_is_handed_down_in_each_environment(environ: dict[str, str]) -> None:
    other: dict[str, str] = {}

    create_shared_file(environ, other)

    assert environ == other


def test_another_program_has_it(environ: dict[str, str]) -> None:
    descriptor = descriptor_of(environ)
    os.pwrite(descriptor, b"from the master", 5)
    program = (
        "import os; from antenna.shared_file import find_shared_file;"
        "print(os.pread(find_shared_file(os.environ), 15, 5).decode())"
    )

    output = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert output == "from the master\n"


@pytest.mark.parametrize("value", ["", "x", "-1", "99999", "2"])
def test_what_is_no_shared_file(value: str) -> None:
    assert find_shared_file({"ANTENNA_SHARED_FILE": value}) is None
    assert find_shared_file({}) is None


def test_it_takes_no_memory_until_it_is_written(environ: dict[str, str]) -> None:
    status = os.fstat(descriptor_of(environ))

    assert status.st_size == SIZE
    assert status.st_blocks == 0


def test_a_lock_keeps_others_out(environ: dict[str, str]) -> None:
    descriptor = descriptor_of(environ)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with locked(descriptor, 0, 10):
            os.write(writer, b"locked")
            time.sleep(0.05)
            os.pwrite(descriptor, b"x", 0)
        os._exit(0)
    try:
        os.read(reader, 6)
        with locked(descriptor, 0, 10):
            assert os.pread(descriptor, 1, 0) == b"x"
    finally:
        os.waitpid(child, 0)


def test_a_lock_of_a_process_that_is_stopped_or_dead_holds_nobody_for_long(environ: dict[str, str]) -> None:
    descriptor = descriptor_of(environ)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with locked(descriptor, 0, 10):
            os.write(writer, b"locked")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(reader, 6)
        start = time.monotonic()
        with locked(descriptor, 0, 10):
            assert 0.05 < time.monotonic() - start < 5
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    start = time.monotonic()
    with locked(descriptor, 0, 10):
        assert time.monotonic() - start < 0.05


def refuse(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_a_system_without_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "memfd_create", refuse)
    environ: dict[str, str] = {}

    create_shared_file(environ)

    descriptor = descriptor_of(environ)
    assert os.get_inheritable(descriptor)
    assert os.fstat(descriptor).st_nlink == 0


def test_a_system_that_has_no_place_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    environ: dict[str, str] = {}

    create_shared_file(environ)

    assert environ == {}
