# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The content of each stream is read, and if a stream is damaged, only that stream is missing."""

from datetime import UTC, datetime, timedelta
from struct import pack

import pytest

from antenna.minidump import DumpFacts, Minidump
from antenna.minidump.linux import ProtectedData
from antenna.minidump.misc import BreakpadInfo
from antenna.minidump.modules import UnloadedModule
from antenna.minidump.streams import StreamType
from tests.support.minidumps.builder import TIME, DumpBuilder, ModuleSpec, elf_build_id, pdb_20, pdb_70
from tests.support.minidumps.everything import everything, threads_with_start_addresses
from tests.support.minidumps.samples import APP, GUID, LINUX, MAC, MAIN, WINDOWS, crash_builder


@pytest.fixture(scope="module")
def dump() -> Minidump:
    """A dump with all streams."""
    return Minidump(everything(LINUX))


def test_nothing_of_it_is_damaged(dump: Minidump) -> None:
    assert dump.memory_map.mappings
    assert dump.damage == ()
    assert len(dump.streams) == 23
    assert "thread list" in dump.streams


def test_crashpad(dump: Minidump) -> None:
    assert dump.crashpad is not None
    assert dump.crashpad.annotations == {"prod": "MyApp", "ver": "1.2"}
    assert dump.crashpad.report_id == "00000000-0000-0000-0000-000000000001"
    assert dump.crashpad.client_id == "00000000-0000-0000-0000-000000000002"
    (module,) = dump.crashpad.modules
    assert (module.module_index, module.lines, module.simple) == (1, ("abort() called",), {"channel": "beta"})
    assert module.objects == {"name": "value", "number": "0102"}
    facts = DumpFacts(dump)
    assert facts.program == "MyApp 1.2"
    assert facts.annotations == {"prod": "MyApp", "ver": "1.2", "channel": "beta", "name": "value", "number": "0102"}


def test_what_is_said(dump: Minidump) -> None:
    assert dump.assertion == (
        "invalid parameter passed to library function x != nullptr in function run in file main.cc at line 42"
    )
    assert dump.comments == ("a comment", "a w\u00efde comment")
    (message,) = dump.mac_crash_info
    assert (message.module, message.messages) == ("/usr/lib/libc++.dylib", ("terminating",))


def test_unloaded_modules(dump: Minidump) -> None:
    (unloaded,) = dump.unloaded_modules
    assert unloaded == UnloadedModule(0x7000_0000, 0x1000, "C:\\Temp\\gone.dll", "5F0000011000")
    assert unloaded.name == "gone.dll"


def test_process(dump: Minidump) -> None:
    assert dump.misc.started == datetime.fromtimestamp(TIME - 90, UTC)
    assert (dump.misc.user_time, dump.misc.kernel_time) == (timedelta(seconds=7), timedelta(seconds=2))
    assert dump.breakpad_info == BreakpadInfo(7, MAIN)


def test_command_line_and_environment_are_apart(dump: Minidump) -> None:
    assert dump.protected == ProtectedData(("MyApp", "--profile", "secret"), ("HOME=/home/user", "TOKEN=secret"))
    assert "secret" not in str(DumpFacts(dump).as_json())


def test_files_of_linux(dump: Minidump) -> None:
    files = dump.linux_files
    assert files.cpu_info.startswith("processor")
    assert files.lsb_release == "DISTRIB_ID=Debian\n"
    assert files.limits == "Limit  Soft Limit\n"
    assert files.process_id == 4242


def test_full_memory(dump: Minidump) -> None:
    assert dump.memory.read(0x7100_0000, 100) == b"firstsecond"


def test_memory_map_of_windows(dump: Minidump) -> None:
    code, data = dump.memory_map.mappings
    assert (code.base, code.readable, code.writable, code.executable) == (APP, True, False, True)
    assert (data.readable, data.writable, data.executable) == (True, True, False)
    assert dump.memory_map.find(APP + 0x100000) is None


def test_memory_map_of_linux() -> None:
    builder = crash_builder(LINUX)
    builder.stream(
        StreamType.LINUX_MAPS, b"400000-480000 r-xp 00000000 08:01 131103 /opt/My App/MyApp\nnonsense\n5-3 r x\n7-9\n"
    )
    (mapping,) = Minidump(builder.build()).memory_map.mappings
    assert (mapping.base, mapping.end, mapping.name) == (0x400000, 0x480000, "/opt/My App/MyApp")
    assert (mapping.readable, mapping.writable, mapping.executable) == (True, False, True)


def test_misc_info_of_later_versions() -> None:
    builder = DumpBuilder()
    builder.system("macOS", "arm64")
    builder.misc(99, version=4, build="23F79; xnu-10063")
    misc = Minidump(builder.build()).misc
    assert (misc.process_id, misc.build, misc.integrity_level) == (99, "23F79; xnu-10063", 0x2000)


def test_threads_of_windows_say_where_they_began() -> None:
    threads = Minidump(threads_with_start_addresses(WINDOWS)).threads
    assert [thread.start_address for thread in threads] == [None, APP + 0x70]


@pytest.mark.parametrize(
    ("record", "debug_id", "debug_file"),
    [
        (pdb_70(GUID, 0x1F, "C:\\build\\MyApp.pdb"), "112233445566778899AABBCCDDEEFF001F", "C:\\build\\MyApp.pdb"),
        (pdb_20(0x3EC0, 3, "old.pdb"), "00003EC03", "old.pdb"),
        (elf_build_id(b"\1\2\3\4\5\6\7\x08\x09"), "040302010605080709" + "0" * 15, "MyApp.exe"),
        (elf_build_id(bytes(20)), "", ""),
        (pdb_70("0" * 32, 0, "a"), "", "a"),
        (b"RSDS", "", ""),
        (b"NB09" + bytes(30), "", ""),
    ],
)
def test_debug_ids(record: bytes, debug_id: str, debug_file: str) -> None:
    builder = DumpBuilder()
    builder.system("Windows", "amd64")
    builder.modules([ModuleSpec(0x1000, 0x1000, "C:\\MyApp.exe", record)])
    (module,) = Minidump(builder.build()).modules
    assert (module.debug_id, module.debug_file) == (debug_id, debug_file)


def test_versions_of_elf_files_are_four_numbers() -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64")
    builder.modules([ModuleSpec(0x1000, 0x1000, "/lib/libc.so.6", version=(6, 2, 36, 0))])
    (module,) = Minidump(builder.build()).modules
    assert module.version == "6.2.36.0"


def test_a_dump_without_an_exception_may_say_who_asked_for_it() -> None:
    builder = DumpBuilder()
    builder.system("Windows", "x86")
    builder.threads([])
    builder.breakpad_info(1, 2, validity=0)
    assert Minidump(builder.build()).requesting_thread is None
    dump = Minidump(threads_with_start_addresses(WINDOWS))
    assert (dump.exception, dump.reason, dump.crashing_thread, dump.requesting_thread) == (None, None, None, None)


@pytest.mark.parametrize("cpu", ["mips", "ppc", "sparc", "0x1234"])
def test_other_processors_show_the_rest(cpu: str) -> None:
    builder = crash_builder(LINUX)
    builder.directory = [entry for entry in builder.directory if entry[0] != StreamType.SYSTEM_INFO]
    builder.system("Linux", cpu)
    dump = Minidump(builder.build())
    assert dump.system is not None
    assert dump.system.cpu == cpu
    assert dump.damage == ()
    assert (len(dump.threads), len(dump.modules)) == (2, 2)
    facts = DumpFacts(dump)
    assert facts.stack is not None
    assert (facts.stack.frames, facts.stack.cut) == ((), f"registers of {cpu} are not read")


@pytest.mark.parametrize("number", [StreamType.THREAD_LIST, StreamType.MODULE_LIST, StreamType.MISC_INFO])
def test_a_stream_that_lies_outside_costs_itself_only(number: StreamType) -> None:
    builder = crash_builder(MAC)
    builder.directory = [
        (kind, size, 0xFFFF_FF00 if kind == number else offset) for kind, size, offset in builder.directory
    ]
    dump = Minidump(builder.build())
    assert dump.damage == (f"stream {number.title} lies outside of the file",)
    assert dump.reason is not None
    assert (len(dump.threads), len(dump.modules)) == (
        0 if number == StreamType.THREAD_LIST else 2,
        0 if number == StreamType.MODULE_LIST else 2,
    )


def test_the_first_of_two_streams_counts() -> None:
    builder = crash_builder(LINUX)
    builder.modules([])
    dump = Minidump(builder.build())
    assert len(dump.modules) == 2
    assert dump.damage == ("stream module list is there more than once; the first counts",)


def test_names_that_cannot_be_read_are_empty() -> None:
    builder = crash_builder(LINUX)
    content = bytearray(builder.build())
    (offset,) = [offset for number, _, offset in builder.directory if number == StreamType.MODULE_LIST]
    content[offset + 4 + 20 : offset + 4 + 24] = pack("<I", 0xFFFFFFF0)
    dump = Minidump(bytes(content))
    assert [module.name for module in dump.modules] == ["", "libc.so.6"]
    assert dump.damage == ("a module's name lies outside of the file",)


def test_half_surrogates_and_nul_in_names() -> None:
    builder = DumpBuilder()
    builder.system("Windows", "amd64")
    builder.modules([ModuleSpec(0x1000, 0x1000, "a\ud800b\0")])
    assert Minidump(builder.build()).modules[0].name == "a\ufffdb"
