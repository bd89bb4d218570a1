# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Memory that one report has freed is there for the next one."""

import platform
import subprocess
import sys

import pytest

# As reports are: a few pieces at a time, then none.
REPORTS = """
from resource import RUSAGE_SELF, getrusage
from antenna.allocator import keep_freed_memory
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
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_memory_is_used_again() -> None:
    assert new_pages("keep_freed_memory()") < new_pages("") / 4
