# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Memory that one report has freed is used for the next report."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from antenna.server.allocator import keep_freed_memory

# This takes memory as reports do: a few pieces at a time, then none.
REPORTS = """
from resource import RUSAGE_SELF, getrusage
from antenna.server.allocator import keep_freed_memory
{call}

def report():
    pieces = [bytes(700_000), bytes(700_000), bytes(700_000)]

report()
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(100):
    report()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(call: str) -> int:
    command = [sys.executable, "-c", REPORTS.format(call=call)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return int(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_memory_is_used_again() -> None:
    assert new_pages("keep_freed_memory()") < new_pages("") / 4


def test_settings_in_the_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("asked for the library"))

    keep_freed_memory()


@pytest.mark.parametrize("error", [None, OSError("Dynamic loading not supported")], ids=repr)
def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, error: OSError | None) -> None:
    asked: list[object] = []

    def load(name: object) -> object:
        asked.append(name)
        if error is not None:
            raise error
        return object()  # has no mallopt

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(os, "environ", {})

    keep_freed_memory()
    assert asked == [None]
