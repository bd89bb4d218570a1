# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Minidumps that are files: the built ones, those in captures, and those of Chromium and Firefox."""

import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from antenna.minidump import DumpFacts, Minidump
from tests.support.captures import MINIDUMPS, Capture, load_captures
from tests.support.minidumps.files import FILES, ROOT

LINUX = "0.0.0 Linux 6.18.44-generic #1 SMP PREEMPT_DYNAMIC @0 x86_64"
OWN = {
    "own-chromium156-renderer-linux": {
        "os_version": "6.18.44 -fc-v657 #1 SMP PREEMPT_DYNAMIC @0 x86_64",
        "crash_reason": "SIGSEGV / SEGV_MAPERR",
        "crash_address": "0x0",
        "crashing_tid": 15729,
        "crashing_thread_index": 0,
        "thread_count": 11,
        "module_count": 109,
        "top_frame": {"address": "0x563eb0057ee0", "module": "chromium", "offset": "0x472eee0", "trust": "context"},
    },
    "own-firefox153-content-linux": {
        "os_version": LINUX,
        "crash_reason": "SIGSEGV / si_code 0",
        "crash_address": "0x3d83",
        "crashing_tid": 15880,
        "crashing_thread_index": 0,
        "thread_count": 16,
        "module_count": 93,
        "top_frame": {"address": "0x7f522b03a26f", "module": "libc.so.6", "offset": "0xfc26f", "trust": "context"},
    },
    "own-firefox153-parent-linux": {
        "os_version": LINUX,
        "crash_reason": "SIGSEGV / si_code 0",
        "crash_address": "0x3d83",
        "crashing_tid": 15748,
        "crashing_thread_index": 0,
        "thread_count": 71,
        "module_count": 145,
        "top_frame": {"address": "0x7f38df6fa26f", "module": "libc.so.6", "offset": "0xfc26f", "trust": "context"},
    },
}


@pytest.mark.parametrize("name", OWN)
def test_own_dumps(name: str) -> None:
    with Minidump.open(MINIDUMPS / f"{name}.dmp") as dump:
        shown = DumpFacts(dump).as_json()
    assert {key: shown[key] for key in OWN[name]} == OWN[name]
    assert (shown["os"], shown["cpu"], shown["damage"]) == ("Linux", "amd64", [])


def test_the_stack_of_chromium_is_a_chain_of_frame_pointers() -> None:
    with Minidump.open(MINIDUMPS / "own-chromium156-renderer-linux.dmp") as dump:
        stack = DumpFacts(dump).as_json()["stack"]
    assert [frame["trust"] for frame in stack[:22]] == ["context", *["frame_pointer"] * 21]
    assert [frame["offset"] for frame in stack[1:4]] == ["0x472bcff", "0xd76fde4", "0x7266558"]


def test_chromium_told_crashpad_who_it_is() -> None:
    with Minidump.open(MINIDUMPS / "own-chromium156-renderer-linux.dmp") as dump:
        facts = DumpFacts(dump)
        assert facts.program == "Chrome_Linux 156.0.8078.79"
        assert facts.annotations["ptype"] == "renderer"


def test_firefox_has_thread_names_and_more() -> None:
    with Minidump.open(MINIDUMPS / "own-firefox153-content-linux.dmp") as dump:
        assert all(thread.name for thread in dump.threads)
        assert dump.linux_files.process_status.startswith("Name:")
        assert dump.linux_files.process_id == 15880
        assert dump.protected.command_line
        mapping = dump.memory_map.find(0x7F522B03A26F)
    assert mapping is not None
    assert mapping.executable


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_built_dumps_are_what_their_code_writes(path: Path) -> None:
    # If this fails after a change of the builder, run python -m tests.support.minidumps.
    assert path.read_bytes() == FILES[path]()


def test_the_sample_crash_is_worth_a_look() -> None:
    with Minidump.open(ROOT / "bin" / "sample_crash.dmp") as dump:
        facts = DumpFacts(dump)
        shown: dict[str, Any] = facts.as_json()
        assert facts.summary("Firefox 153.0a1") == (
            "Firefox 153.0a1 · SIGSEGV at 0x0 · libxul.so+0x3671e2c · Linux x86_64 · main thread"
        )
    assert [frame["trust"] for frame in shown["stack"]] == ["context", *["frame_pointer"] * 13]
    assert len([thread["name"] for thread in shown["threads"] if thread["name"]]) == 8
    assert all(module["debug_id"] for module in shown["modules"])


def minidumps_in(capture: Capture) -> list[bytes]:
    body = capture.body
    if capture.is_chunked:
        body = b"".join(re.findall(rb"[0-9a-f]+\r\n(.+)\r\n0\r\n", body, re.DOTALL))
    if capture.is_gzipped:
        body = zlib.decompressobj(31).decompress(body)
    sizes = {dump.size for name, dump in capture.dumps.items() if "minidump" in name}
    starts = [match.start() for match in re.finditer(rb"MDMP\x93\xa7", body)]
    return [body[start : start + size] for start in starts for size in sizes if body[start + size :][:2] == b"\r\n"]


@pytest.mark.parametrize("capture", load_captures(), ids=lambda capture: capture.name)
def test_dumps_in_captures_are_minidumps(capture: Capture) -> None:
    found = minidumps_in(capture)
    assert len(found) == len([name for name in capture.dumps if "minidump" in name])
    for content in found:
        dump = Minidump(content)
        assert (dump.damage, bool(dump.crashing_thread)) == ((), True)
