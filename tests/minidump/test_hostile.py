# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Whatever a dump holds, it is read or refused in little time, and nothing but MinidumpError is raised."""

import pytest

from antenna.minidump import MinidumpError
from tests.support.minidumps.damage import mutations
from tests.support.minidumps.read import read_everything
from tests.support.minidumps.samples import LINUX, MAC, WINDOWS, Platform, crash


def read_or_refuse(content: bytes) -> None:
    try:
        read_everything(content)
    except MinidumpError as error:
        assert str(error)  # noqa: PT017 - a dump may be read as well


@pytest.mark.parametrize("platform", [LINUX, WINDOWS, MAC], ids=lambda platform: platform.name)
def test_truncated_anywhere(platform: Platform) -> None:
    content = crash(platform)
    assert len(content) < 20_000
    for size in range(len(content)):
        read_or_refuse(content[:size])


@pytest.mark.parametrize("platform", [LINUX, WINDOWS], ids=lambda platform: platform.name)
def test_mutated(platform: Platform) -> None:
    for content in mutations(crash(platform), 150, seed=20261127):
        read_or_refuse(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"M", "not a minidump: begins with b'M'"),
        (b"W/google-breakpad(1)", "not a minidump: begins with b'W/go'"),
        (b"PMDM" + bytes(28), "big-endian"),
        (b"MDMP" + bytes(10), "the header lies outside of the file"),
        (b"MDMP" + bytes(28), "not a minidump: version 0x0"),
        (b"MDMP\x93\xa7" + bytes(26), "damaged: no readable stream"),
    ],
)
def test_no_minidump(content: bytes, message: str) -> None:
    with pytest.raises(MinidumpError, match=message.replace("(", r"\(")):
        read_everything(content)
