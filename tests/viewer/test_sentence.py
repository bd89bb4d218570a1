# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The sentence that says what crashed."""

from pathlib import Path

import pytest

from antenna.minidump import DumpFacts, Minidump
from antenna.symbols import read
from antenna.viewer.sentence import sentence
from tests.support.minidumps import samples
from tests.support.minidumps.builder import DumpBuilder
from tests.support.symbols import filled_store, game_dump


def test_a_crash_with_symbols(tmp_path: Path) -> None:
    facts = read(game_dump(), filled_store(tmp_path))
    assert sentence("App 2", facts, has_no_minidump=False) == (
        "App 2 crashed with SIGSEGV at 0x10 in World::tick(int), on the main thread, on Linux x86_64."
    )


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        (
            samples.WINDOWS,
            "EXCEPTION_ACCESS_VIOLATION_READ at 0x10 in MyApp.exe+0x1234, on the main thread, on Windows x86",
        ),
        (samples.MAC, "EXC_BAD_ACCESS at 0x10 in MyApp+0x1234, on the main thread, on macOS arm64"),
    ],
)
def test_without_symbols_it_says_module_and_offset(platform: samples.Platform, text: str) -> None:
    said = sentence("", DumpFacts(Minidump(samples.crash(platform))), has_no_minidump=False)
    assert said.endswith(f" crashed with {text}.")
    assert said.startswith("MyApp")


def test_a_dump_that_somebody_asked_for() -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64", (0, 0, 0), "Linux 6")
    builder.threads([])
    said = sentence("App", DumpFacts(Minidump(builder.build())), has_no_minidump=False)
    assert said == "App did not crash: it wrote a dump, on Linux x86_64."


@pytest.mark.parametrize(
    ("program", "has_no_minidump", "text"),
    [
        ("Fenix 150", True, "Fenix 150 sent a crash report without a minidump."),
        ("Fenix 150", False, "Fenix 150 crashed, and its minidump cannot be read."),
        ("", True, "A program sent a crash report without a minidump."),
        ("x" * 5000, True, "x" * 100 + "… sent a crash report without a minidump."),
    ],
)
def test_without_a_dump(program: str, has_no_minidump: bool, text: str) -> None:
    assert sentence(program, None, has_no_minidump=has_no_minidump) == text
