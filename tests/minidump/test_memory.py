# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Memory and modules are found by address, also in a dump in which they overlap."""

import pytest

from antenna.minidump.memory import MAX_READ, Memory, Range
from antenna.minidump.modules import Module, Modules, base_name
from antenna.minidump.source import BytesSource

CONTENT = bytes(range(200))


def memory(*ranges: tuple[int, int, int]) -> Memory:
    return Memory(BytesSource(CONTENT), [Range(*each) for each in ranges])


def test_memory_is_found_by_address() -> None:
    found = memory((0x2000, 16, 100), (0x1000, 16, 0))
    assert found.find(0x1000) == Range(0x1000, 16, 0)
    assert found.find(0x100F) == Range(0x1000, 16, 0)
    assert found.find(0x1010) is None
    assert found.find(0xFFF) is None
    assert found.read(0x2004, 4) == bytes([104, 105, 106, 107])


def test_reading_goes_on_where_the_next_range_begins_and_ends_at_a_gap() -> None:
    found = memory((0x1000, 8, 0), (0x1008, 8, 100), (0x1018, 8, 50))
    assert found.read(0x1004, 100) == bytes([4, 5, 6, 7, *range(100, 108)])
    assert found.read(0x1010, 8) == b""
    assert found.word(0x1004, 8) == int.from_bytes([4, 5, 6, 7, 100, 101, 102, 103], "little")
    assert found.word(0x100C, 8) is None
    assert list(found.words(0x1000, 4, 100)) == [0x3020100, 0x7060504, 0x67666564, 0x6B6A6968]


def test_of_overlapping_ranges_the_first_counts() -> None:
    found = memory((0x1000, 16, 0), (0x1008, 16, 100), (0x1004, 4, 50), (0x1000, 16, 60))
    assert found.ranges == (Range(0x1000, 16, 0), Range(0x1010, 8, 108))


def test_a_hundred_thousand_overlapping_ranges_are_one() -> None:
    found = memory(*((0x1000 + number, 1_000_000, 0) for number in range(100_000)))
    assert len(found.ranges) == 100_000
    assert found.find(0x1000 + 1_000_000 + 50_000) is not None


def test_one_look_has_a_limit() -> None:
    found = Memory(BytesSource(bytes(3 * MAX_READ)), [Range(0, 3 * MAX_READ, 0)])
    assert len(found.read(0, 3 * MAX_READ)) == MAX_READ


def module(base: int, size: int) -> Module:
    return Module(base, size, f"/lib/{base:x}", "", "", "", None)


def test_modules_are_found_by_address() -> None:
    modules = Modules([module(0x3000, 0x1000), module(0x1000, 0x1000), module(0x5000, 0)])
    found = {address: modules.find(address) for address in (0xFFF, 0x1000, 0x1FFF, 0x2000, 0x3000, 0x5000)}
    assert {address: each and each.base for address, each in found.items()} == {
        0xFFF: None,
        0x1000: 0x1000,
        0x1FFF: 0x1000,
        0x2000: None,
        0x3000: 0x3000,
        0x5000: None,
    }
    assert [each.base for each in modules] == [0x3000, 0x1000, 0x5000]
    assert modules.highest_address == 0x5000


def test_where_modules_overlap_the_lower_counts_and_what_is_above_it_the_next() -> None:
    modules = Modules([module(0x1000, 0x3000), module(0x2000, 0x1000), module(0x3000, 0x4000)])
    found = [modules.find(address) for address in (0x2800, 0x3800, 0x4800)]
    assert [each and each.base for each in found] == [0x1000, 0x1000, 0x3000]


@pytest.mark.parametrize(
    ("path", "name"),
    [("/usr/lib/a.so", "a.so"), ("C:\\x\\a.dll", "a.dll"), ("a", "a"), ("", ""), ("/", "/"), ("/dir/", "dir")],
)
def test_names_of_modules(path: str, name: str) -> None:
    assert base_name(path) == name
