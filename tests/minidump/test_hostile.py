# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Any file is read or refused in little time, and no exception but MinidumpError is raised."""

import re
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack, unpack_from

import pytest

from antenna.minidump import DumpFacts, Minidump, MinidumpError, StackWalker
from antenna.minidump.crashpad import MAX_ANNOTATIONS
from antenna.minidump.memory import MAX_RANGES
from antenna.minidump.modules import MAX_MODULES
from antenna.minidump.stack import MAX_FRAMES
from antenna.minidump.streams import MAX_STREAMS, StreamType
from antenna.minidump.threads import MAX_THREADS
from tests.support.captures import MINIDUMPS
from tests.support.minidumps.builder import DumpBuilder, pdb_70
from tests.support.minidumps.contexts import context
from tests.support.minidumps.damage import mutations
from tests.support.minidumps.everything import everything
from tests.support.minidumps.read import read_everything
from tests.support.minidumps.samples import APP, GUID, LINUX, STACK, WINDOWS, crash, crash_builder, modules

CHROMIUM = MINIDUMPS / "own-chromium156-renderer-linux.dmp"
FIREFOX = MINIDUMPS / "own-firefox153-content-linux.dmp"
# Seconds of CPU that reading any dump may take, up to the largest size that a collector takes. Measured: 1.6 at most,
# below 0.5 for most.
SECONDS = 4.0


def read_or_refuse(content: bytes) -> None:
    try:
        read_everything(content)
    except MinidumpError as error:
        assert str(error)  # noqa: PT017 - a dump may be read as well


@pytest.mark.parametrize("content", [everything(WINDOWS), crash(LINUX)], ids=["everything", "crash"])
def test_truncated_anywhere(content: bytes) -> None:
    assert len(content) < 20_000
    # In any field of eight bytes, and in most of the smaller ones.
    for size in range(0, len(content), 7):
        read_or_refuse(content[:size])


def borders(content: bytes) -> Iterator[int]:
    """Yield the offsets behind the first number of each stream and behind the stream."""
    count, directory = unpack_from("<II", content, 8)
    for number in range(count):
        _, size, offset = unpack_from("<III", content, directory + 12 * number)
        yield from (offset + 4, offset + size)


@pytest.mark.parametrize(
    ("path", "distances"),
    # Each reading of Firefox's dump takes four times as long.
    [(CHROMIUM, (0, 1)), (FIREFOX, (1,))],
    ids=["chromium", "firefox"],
)
def test_truncated_at_the_borders_of_streams(path: Path, distances: tuple[int, ...]) -> None:
    """The file ends at such a border, or a byte before it."""
    content = path.read_bytes()
    for size in sorted({border - distance for border in borders(content) for distance in distances}):
        if size > 0:
            read_or_refuse(content[:size])


@pytest.mark.parametrize(
    ("content", "count"),
    [(everything(WINDOWS), 100), (crash(LINUX), 100), (CHROMIUM.read_bytes(), 30)],
    ids=["everything", "crash", "chromium"],
)
def test_mutated(content: bytes, count: int) -> None:
    for damaged in mutations(content, count, seed=20261127):
        read_or_refuse(damaged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"M", "not a minidump: begins with b'M'"),
        (b"W/google-breakpad(1)", "not a minidump: begins with b'W/go'"),
        (b"PMDM" + bytes(28), "a minidump of a big-endian machine"),
        (b"MDMP" + bytes(10), "the header lies outside of the file"),
        (b"MDMP" + bytes(28), "not a minidump: version 0x0"),
        (b"MDMP\x93\xa7" + bytes(26), "damaged: no readable stream"),
        (b"MDMP\x93\xa7\0\0" + pack("<IIIIQ", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, 0), "damaged: no readable stream"),
        # A stream that says nothing about a process.
        (b"MDMP\x93\xa7\0\0" + pack("<IIIIQIII", 1, 32, 0, 0, 0, 10, 4, 0), "damaged: no readable stream"),
    ],
)
def test_no_minidump(content: bytes, message: str) -> None:
    with pytest.raises(MinidumpError, match=re.escape(message)):
        read_everything(content)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MinidumpError, match="cannot be opened: "):
        Minidump.open(tmp_path / "missing")
    with pytest.raises(MinidumpError, match="cannot be opened: embedded null byte"):
        Minidump.open("nul\0")
    with pytest.raises(MinidumpError, match="not a regular file"):
        Minidump.open(tmp_path)
    with pytest.raises(MinidumpError, match="not a regular file"):
        Minidump.open("/dev/zero")


def test_a_file_that_is_closed_has_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "crash.dmp"
    file.write_bytes(crash())
    with Minidump.open(file) as dump:
        assert dump.memory.read(STACK, 8)
    with pytest.raises(MinidumpError, match="the file is closed"):
        dump.memory.read(STACK, 8)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "crash.dmp"
    file.write_bytes(crash())
    with Minidump.open(file) as dump:
        file.write_bytes(b"")
        assert dump.memory.read(STACK, 8) == b""
        assert len(StackWalker(dump).walk(dump.threads[0]).frames) == 1


# Dumps of up to 25 MB in which every number is as large as it can be.


def hostile(*, with_thread: bool = True) -> DumpBuilder:
    builder = DumpBuilder(reserved=0)
    builder.system("Linux", "amd64")
    builder.modules(modules(LINUX))
    if with_thread:
        shared_threads(builder, 1, pack("<QQ", STACK + 16, APP + 0x100) * 8)
    return builder


def shared_threads(builder: DumpBuilder, count: int, stack: bytes) -> None:
    """Add threads that all have the same stack and the same registers."""
    where = builder.put(stack)
    registers = builder.put(context("amd64", {"rip": APP + 1, "rsp": STACK, "rbp": STACK}))
    entries = (
        pack("<IIIIQQIIII", number, 0, 0, 0, 0, STACK, len(stack), where, 1232, registers) for number in range(count)
    )
    builder.stream(3, pack("<I", count) + b"".join(entries))


def pairs(first: range, second: int) -> bytes:
    """Return pairs of numbers of eight bytes each. The second number is the same in all."""
    content = array("Q", [second]) * (2 * len(first))
    content[::2] = array("Q", first)
    return content.tobytes()


def tiny_ranges() -> bytes:
    builder, count = hostile(), 1_500_000
    builder.stream(5, pack("<I", count) + pairs(range(0, count * 7919, 7919), 8 | 64 << 32))
    return builder.build()


def overlapping_ranges() -> bytes:
    builder, count = hostile(), 100_000
    entries = (pack("<QII", STACK + number, 1_000_000, 64) for number in range(count))
    builder.stream(5, pack("<I", count) + b"".join(entries))
    return builder.build() + bytes(1_000_100)


def full_memory_in_pieces() -> bytes:
    builder, count = hostile(), 1_500_000
    builder.stream(9, pack("<QQ", count, 0) + pairs(range(0, count * 16, 16), 8))
    return builder.build()


def modules_with_one_long_name() -> bytes:
    builder, count = DumpBuilder(), 200_000
    builder.system("Windows", "amd64")
    name, record = builder.put_utf16("x" * 4000), builder.put(pdb_70(GUID, 1, "y" * 8000))
    entries = (pack("<QIIII52xII24x", number * 4096, 0xFFFF_FFFF, 0, 0, name, 8100, record) for number in range(count))
    builder.stream(4, pack("<I", count) + b"".join(entries))
    return builder.build()


def threads_with_one_deep_stack() -> bytes:
    builder = hostile(with_thread=False)
    shared_threads(builder, 300_000, b"".join(pack("<QQ", STACK + 16 * (n + 1), APP + 0x100) for n in range(4096)))
    return builder.build()


def threads_to_scan() -> bytes:
    builder = hostile(with_thread=False)
    # Return addresses as far away as they are looked for, between addresses that take long to be told from them.
    words = [APP + 0x90000] * 39 + [APP + 0x100]
    shared_threads(builder, 10_000, pack("<40Q", *words) * 800)
    builder.memory_info([(APP, 0x80000, 0x1000, 0x20), (APP + 0x80000, 0x80000, 0x1000, 0x4)])
    return builder.build()


def annotations_that_share_their_bytes() -> bytes:
    builder, count = hostile(), 2000
    text = builder.put_utf8("v" * 60_000)
    content = pack("<I", 100_000) + pack("<II", text, text) * 100_000
    dictionary = (len(content), builder.put(content))
    module = builder.put(pack("<I6I", 1, *dictionary, *dictionary, *dictionary))
    links = pack("<I", count) + b"".join(pack("<III", number, 28, module) for number in range(count))
    where = builder.put(links)
    builder.stream(0x43500001, pack("<I32xIIII", 1, *dictionary, len(links), where))
    return builder.build()


def mappings() -> bytes:
    builder = hostile()
    builder.stream(0x47670009, b"1-2 r 0 0 0 x\n" * 1_700_000)
    return builder.build()


def one_stream_over_and_over() -> bytes:
    return b"MDMP\x93\xa7\0\0" + pack("<IIIIQ", 2_000_000, 32, 0, 0, 0) + pack("<III", 7, 56, 40) * 2_000_000


LARGE: tuple[Callable[[], bytes], ...] = (
    tiny_ranges,
    overlapping_ranges,
    full_memory_in_pieces,
    modules_with_one_long_name,
    threads_with_one_deep_stack,
    threads_to_scan,
    annotations_that_share_their_bytes,
    mappings,
    one_stream_over_and_over,
)


@pytest.mark.parametrize("build", LARGE, ids=lambda build: build.__name__)
def test_work_is_bounded(build: Callable[[], bytes], tmp_path: Path) -> None:
    file = tmp_path / "hostile.dmp"
    file.write_bytes(build())
    assert file.stat().st_size < 26_000_000
    start = time.process_time()
    with Minidump.open(file) as dump:
        facts = DumpFacts(dump)
        shown = facts.as_json()
        assert dump.protected is not None
    assert time.process_time() - start < SECONDS
    assert len(dump.streams) <= MAX_STREAMS
    assert len(dump.threads) <= MAX_THREADS
    assert len(dump.modules) <= MAX_MODULES
    assert len(dump.memory.ranges) <= MAX_RANGES + len(dump.threads)
    assert len(dump.memory_map.mappings) <= MAX_RANGES
    assert len(shown["crashpad_annotations"]) <= MAX_ANNOTATIONS
    assert all(len(thread["stack"]) <= MAX_FRAMES for thread in shown["threads"])


def test_a_count_is_a_claim() -> None:
    builder = crash_builder(LINUX)
    for number, size, offset in builder.directory:
        if number in {StreamType.THREAD_LIST, StreamType.MODULE_LIST, StreamType.MEMORY_LIST}:
            assert size
            builder._content[offset : offset + 4] = b"\xff\xff\xff\xff"  # noqa: SLF001 - the count is to lie
    dump, _ = read_everything(builder.build())
    assert (len(dump.threads), len(dump.modules)) == (2, 2)
    assert any("declares 4,294,967,295 entries" in damage for damage in dump.damage)


MEASURE = """
import resource, sys, time
from antenna.minidump import DumpFacts, Minidump
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
with Minidump.open(sys.argv[1]) as dump:
    facts = DumpFacts(dump)
    facts.summary()
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measured(path: Path) -> tuple[float, float]:
    """Return seconds of CPU and MiB of memory that reading a dump takes, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) / 1024


def test_a_dump_of_25_mb_is_read_in_little_time_and_memory(tmp_path: Path) -> None:
    builder = crash_builder(LINUX)
    builder.memory_64([(0x7000_0000_0000 + number * 0x10000, bytes(8192)) for number in range(3000)])
    file = tmp_path / "large.dmp"
    file.write_bytes(builder.build())
    assert file.stat().st_size > 24_000_000
    seconds, mebibytes = measured(file)
    assert (seconds < 1, mebibytes < 20) == (True, True), (seconds, mebibytes)


def test_the_dump_of_chromium_is_read_in_50_milliseconds() -> None:
    # Once in three runs, so that other work on the machine does not count.
    assert any(measured(CHROMIUM)[0] < 0.05 for _ in range(3))


def test_the_largest_hostile_dump_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "hostile.dmp"
    file.write_bytes(modules_with_one_long_name())
    assert measured(file)[1] < 100


def test_a_thread_whose_name_is_damaged_leaves_the_others_theirs() -> None:
    content = bytearray(crash(LINUX))
    count, directory = unpack_from("<II", content, 8)
    streams = [unpack_from("<III", content, directory + 12 * number) for number in range(count)]
    (names,) = [offset for kind, _, offset in streams if kind == StreamType.THREAD_NAMES]
    content[names + 8 : names + 16] = pack("<Q", 2**64 - 8)
    with Minidump(bytes(content)) as dump:
        assert [thread.name for thread in dump.threads][:2] == [None, "Worker #1"]
        assert dump.damage == ("a thread's name lies outside of the file",)
