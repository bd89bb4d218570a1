# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""bin/show_crash.py says what crashed and where: of stored crashes and of minidump files."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from antenna.minidump import Minidump
from bin import _minidumps
from tests.support.minidumps.builder import DumpBuilder, ModuleSpec
from tests.support.minidumps.samples import (
    LINUX,
    PLATFORMS,
    WINDOWS,
    Platform,
    crash,
    crash_builder,
    interrupted_builder,
)
from tests.support.server import PROJECT_ROOT
from tests.support.tools import Result, run_shell

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"
MAIN = "upload_file_minidump"
PRODUCT = {"ProductName": "MyApp", "Version": "1.2"}
SUMMARY = "MyApp 1.2 · SIGSEGV at 0x10 · MyApp+0x1234 · Linux x86_64 · main thread"


class Store:
    """A storage with one crash."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, annotations: dict[str, Any], **dumps: bytes) -> None:
        """Store a crash as the collector does."""
        checksums = {name: hashlib.sha256(content).hexdigest() for name, content in dumps.items()}
        metadata = {"dump_checksums": checksums, "collector_notes": ["A note."], "throttle_rule": "accept_everything"}
        objects = {
            f"raw_crash/20160918/{CRASH_ID}": json.dumps({**annotations, "metadata": metadata}).encode(),
            f"dump_names/{CRASH_ID}": json.dumps(sorted(dumps)).encode(),
            **{f"{'dump' if name == MAIN else name}/{CRASH_ID}": content for name, content in dumps.items()},
        }
        for name, content in objects.items():
            path = self.root / "v1" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)

    def show(self, *arguments: str) -> Result:
        """Run the program."""
        environment = {
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(self.root),
        }
        return run_shell(f"bin/show_crash.py bp-{CRASH_ID} {' '.join(arguments)}", environment)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty storage."""
    return Store(tmp_path / "crashes")


def show_file(directory: Path, content: bytes, *arguments: str) -> Result:
    file = directory / "crash.dmp"
    file.write_bytes(content)
    return run_shell(f"bin/show_crash.py {file} {' '.join(arguments)}", {})


def test_a_stored_crash(store: Store) -> None:
    store.keep(PRODUCT | {"Notes": "a\nb"}, **{MAIN: crash(), "memory_report": b"\x1f\x8b"})
    result = store.show()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.lines[0] == SUMMARY
    stack = result.lines.index("Stack of thread 0 (MainThread), the main thread:")
    assert result.lines[stack + 1 : stack + 5] == [
        "    0 MyApp+0x1234",
        "    1 MyApp+0x7fff      frame pointer",
        "    2 MyApp+0x8fff      frame pointer",
        "    3 libc.so.6+0x3fff  frame pointer",
    ]
    annotations = result.lines.index(f"Annotations (v1/raw_crash/20160918/{CRASH_ID}):")
    assert result.lines[annotations + 1 : annotations + 4] == [
        "  Notes: a\\nb",
        "  ProductName: MyApp",
        "  Version: 1.2",
    ]
    assert result.lines[result.lines.index("Notes of the collector:") + 1] == "  A note."
    assert result.lines[-3:] == [
        f'v1/dump_names/{CRASH_ID}: ["memory_report", "upload_file_minidump"]',
        f"v1/memory_report/{CRASH_ID}: memory_report, 2 bytes, sha256 verified",
        f"v1/dump/{CRASH_ID}: upload_file_minidump, {len(crash()):,} bytes, sha256 verified",
    ]


def test_json_has_the_names_of_the_field(store: Store) -> None:
    store.keep(PRODUCT, **{MAIN: crash(), "upload_file_minidump_browser": crash(WINDOWS)})
    (shown,) = store.show("--json").objects
    expected = {
        "crash_id": CRASH_ID,
        "summary": SUMMARY,
        "os": "Linux",
        "os_version": "0.0.0 Linux 6.1.0-18-amd64 #1 SMP x86_64",
        "cpu": "amd64",
        "crash_reason": "SIGSEGV / SEGV_MAPERR",
        "crash_address": "0x10",
        "crashing_tid": 4242,
        "crashing_thread_index": 0,
        "thread_count": 2,
        "module_count": 2,
        "top_frame": {"address": "0x401234", "module": "MyApp", "offset": "0x1234", "trust": "context"},
        "is_crash": True,
        "uptime_seconds": 90.0,
    }
    assert {name: shown[name] for name in expected} == expected
    assert [frame["offset"] for frame in shown["stack"]] == ["0x1234", "0x7fff", "0x8fff", "0x3fff"]
    assert [(thread["id"], thread["name"]) for thread in shown["threads"]] == [
        (4242, "MainThread"),
        (4250, "Worker #1"),
    ]
    assert shown["threads"][0]["stack"] == shown["stack"]
    assert shown["modules"][0]["debug_id"] == "030201000504070608090A0B0C0D0E0F0"
    assert shown["raw_crash"]["ProductName"] == "MyApp"
    main, browser = shown["dumps"]
    assert (main["name"], main["verified"], "os" in main) == (MAIN, "sha256", False)
    assert (browser["name"], browser["os"], browser["cpu"]) == ("upload_file_minidump_browser", "Windows", "x86")
    assert browser["crash_reason"] == "EXCEPTION_ACCESS_VIOLATION_READ"


@pytest.mark.parametrize("content", [b"", b"MDMP", crash()[:200]], ids=["empty", "short", "cut"])
def test_a_dump_that_cannot_be_read(content: bytes, store: Store) -> None:
    store.keep(PRODUCT, **{MAIN: content})
    result = store.show()
    assert result.exit_code == 1
    assert result.lines[0].startswith("MyApp 1.2 · dump cannot be read: ")
    assert f"{MAIN} cannot be read: " in result.stderr
    (shown,) = store.show("--json").objects
    assert shown["dumps"][0]["error"]
    assert "os" not in shown


def test_a_crash_without_a_dump_shows_its_java_exception(store: Store) -> None:
    frames = [{"module": "org.example.Main", "function": "run", "filename": "Main.kt", "lineno": 7}]
    exception = {"module": "java.lang", "type": "IllegalStateException", "value": "no \x1b[31m"}
    values = [exception | {"stacktrace": {"frames": frames}}]
    store.keep(PRODUCT | {"JavaException": json.dumps({"exception": {"values": values}})})
    result = store.show()
    assert result.exit_code == 0
    assert result.lines[0] == r"MyApp 1.2 · java.lang.IllegalStateException: no \u001b[31m"
    assert "  at org.example.Main.run(Main.kt:7)" in result.lines
    (shown,) = store.show("--json").objects
    assert shown["java_exception"]["title"] == "java.lang.IllegalStateException: no \x1b[31m"


def test_a_java_stack_trace_is_text(store: Store) -> None:
    store.keep(PRODUCT | {"JavaException": "[", "JavaStackTrace": "java.lang.Error: x\n\tat a.b(C.java:1)\n"})
    result = store.show()
    assert result.lines[0] == "MyApp 1.2 · java.lang.Error: x"
    assert "  at a.b(C.java:1)" in result.lines


def test_long_values_are_cut(store: Store) -> None:
    store.keep({"ProductName": "x" * 5000, "y" * 5000: "z" * 5000, "JavaStackTrace": "J" * 5000}, **{MAIN: crash()})
    result = store.show()
    assert max(map(len, result.lines)) < 1000
    assert "(5,000 characters; --json has them all)" in result.stdout


def test_modules_with_long_names_are_cut(tmp_path: Path) -> None:
    builder = DumpBuilder()
    builder.modules([ModuleSpec(0x400000 + 0x1000 * number, 0x1000, "\x1b" * 4000) for number in range(1000)])
    result = show_file(tmp_path, builder.build(), "--modules")
    assert result.exit_code == 0
    assert max(map(len, result.lines)) < 20_000
    assert "characters; --json has them all)" in result.stdout


def test_a_crash_with_neither(store: Store) -> None:
    store.keep({"JavaException": {"exception": 5}})
    result = store.show()
    assert (result.exit_code, result.lines[0]) == (0, "unknown product · no minidump")


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_a_file(platform: Platform, tmp_path: Path) -> None:
    result = show_file(tmp_path, crash(platform))
    assert result.exit_code == 0
    program = "MyApp.exe" if platform.os == "Windows" else "MyApp"
    machine = "x86_64" if platform.cpu == "amd64" else platform.cpu
    reason = platform.reason.partition(" / ")[0]
    assert result.lines[0] == (
        f"{program} · {reason} at 0x10 · {program}+0x1234 · {platform.os} {machine} · main thread"
    )


def test_more_of_a_file(tmp_path: Path) -> None:
    result = show_file(tmp_path, crash(), "--threads", "--modules", "--registers")
    assert "Stack of thread 1 (Worker #1):" in result.lines
    assert any("rip 0000000000401234" in line for line in result.lines)
    assert "  0x400000-0x500000 MyApp  030201000504070608090A0B0C0D0E0F0" in result.lines


def test_a_file_needs_no_packages(tmp_path: Path) -> None:
    for name in ("bin", "antenna"):
        shutil.copytree(PROJECT_ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "crash.dmp").write_bytes(crash())
    result = run_shell(f"{sys.executable} -S bin/show_crash.py crash.dmp", {}, root=tmp_path)
    assert result.lines[0] == SUMMARY.replace("MyApp 1.2", "MyApp"), result.stderr


def test_a_file_that_is_no_minidump(tmp_path: Path) -> None:
    result = show_file(tmp_path, b"W/google-breakpad(1)")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"show_crash.py: {tmp_path}/crash.dmp: not a minidump: begins with b'W/go'\n"
    (shown,) = show_file(tmp_path, b"W/google-breakpad(1)", "--json").objects
    assert shown["error"] == "not a minidump: begins with b'W/go'"
    assert "not a regular file" in run_shell(f"bin/show_crash.py {tmp_path}", {}).stderr


def test_a_screen_with_few_characters(tmp_path: Path) -> None:
    (tmp_path / "crash.dmp").write_bytes(crash())
    result = run_shell(f"bin/show_crash.py {tmp_path}/crash.dmp", {"PYTHONIOENCODING": "ascii"})
    assert result.lines[0] == SUMMARY.replace("MyApp 1.2", "MyApp").replace("·", r"\xb7")


def test_what_a_dump_holds_does_not_control_the_screen(tmp_path: Path) -> None:
    nasty = "\x1b[2J\u009b\u202e\u2028\n\0"
    builder = crash_builder(LINUX)
    builder.crashpad(
        {f"name{nasty}": f"value{nasty}"},
        [(0, builder.module_annotations(lines=[nasty], objects=[(nasty, 1, b"\x1b]0;")]))],
    )
    builder.assertion(nasty, nasty, nasty, 5)
    builder.stream(10, nasty.encode())
    builder.mac_crash_info([(nasty, nasty)])
    result = show_file(tmp_path, builder.build(), "--threads", "--modules")
    assert result.exit_code == 0
    assert all(line.isprintable() for line in result.stdout.split("\n"))
    assert "value\\u001b[2J" in result.stdout


def test_a_frame_may_be_that_of_code_which_a_signal_interrupted() -> None:
    dump = Minidump(interrupted_builder().build())
    lines = list(_minidumps.ReadDump(dump, None).describe(_minidumps.Shown()))
    assert lines[lines.index("    0 MyApp+0x100") :][1:3] == [
        "    1 libc.so.6+0x6ff  scan: a guess",
        "    2 MyApp+0x2000     interrupted by a signal",
    ]


def test_a_dump_that_was_requested_is_no_crash(tmp_path: Path) -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64")
    builder.exception(1, 0xFFFFFFFF)
    assert show_file(tmp_path, builder.build()).lines[0] == "no crash: the dump was requested · Linux x86_64"


def test_a_dump_without_an_exception_says_so(tmp_path: Path) -> None:
    builder = DumpBuilder()
    builder.system("Linux", "mips")
    lines = show_file(tmp_path, builder.build()).lines
    assert lines[0] == "no exception · Linux mips"
    assert "Reason:    none: the dump has no exception" in lines
