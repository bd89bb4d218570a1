# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Stacks get the names of functions, files and lines."""

from pathlib import Path

import pytest

from antenna.minidump import Stack, Trust
from antenna.symbols import Store
from antenna.symbols.processing import crash_facts, missing, read
from antenna.symbols.signature import sign
from tests.support.symbols import BASE, DEBUG_ID, FRAMES, filled_store, game_dump


def crashing_stack(store: Store | None) -> Stack:
    stack = read(game_dump(), store).stack
    assert stack is not None
    return stack


def test_call_frame_information_finds_callers_that_nothing_else_finds(tmp_path: Path) -> None:
    stack = crashing_stack(filled_store(tmp_path))
    assert [frame.trust for frame in stack.frames] == [Trust.CONTEXT, Trust.CFI, Trust.CFI, Trust.CFI]
    assert [(frame.function, frame.line) for frame in stack.frames] == FRAMES
    assert stack.frames[1].registers.get("rbx") == 0x77


def test_without_symbols_there_are_guesses_only() -> None:
    stack = crashing_stack(None)
    assert {frame.trust for frame in stack.frames[1:]} == {Trust.SCAN}
    assert {frame.function for frame in stack.frames} == {None}


def test_frames_have_files_lines_and_inlined_functions(tmp_path: Path) -> None:
    frame = crashing_stack(filled_store(tmp_path)).frames[0]
    assert (frame.file, frame.line, frame.function_offset) == ("/src/world.cpp", 12, 0x10)
    assert [(one.function, one.file, one.line) for one in frame.inlines] == [
        ("Vector::length() const", "/src/math.h", 7)
    ]


def test_modules_without_symbols_are_named(tmp_path: Path) -> None:
    for store in (None, Store(tmp_path)):
        (module,) = missing(read(game_dump(), store), store)
        assert (module.debug_file, module.debug_id) == ("MyApp", DEBUG_ID)
    store = filled_store(tmp_path)
    assert missing(read(game_dump(), store), store) == []


def test_signature_is_made_of_names(tmp_path: Path) -> None:
    facts = read(game_dump(), filled_store(tmp_path))
    assert sign(crash_facts({}, "MyApp", [], facts)).text == "Vector::length"


@pytest.mark.parametrize("suffix", [".cfi", ".symcache"])
def test_files_that_cannot_be_read_are_as_good_as_missing(suffix: str, tmp_path: Path) -> None:
    store = filled_store(tmp_path)
    file = store.file("MyApp", DEBUG_ID, suffix)
    assert file is not None
    file.write_bytes(b"damaged")
    stack = crashing_stack(store)
    assert stack.frames[0].instruction == BASE + 0x1010
