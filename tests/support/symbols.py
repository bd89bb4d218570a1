# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Symbols for the dumps that tests build, and dumps whose stacks cannot be walked without symbols."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from struct import pack

from antenna.minidump import Minidump
from antenna.symbols import Store
from tests.support.captures import DATA
from tests.support.minidumps import samples
from tests.support.minidumps.builder import DumpBuilder, ModuleSpec, ThreadSpec, elf_build_id
from tests.support.minidumps.contexts import context

#: Built from tests/data/symbols/game.c: a stripped library, and its debug information.
LIBGAME = DATA / "symbols" / "libgame.so"
LIBGAME_DEBUG = DATA / "symbols" / "libgame.so.debug"

BUILD_ID = bytes(range(1, 21))
DEBUG_ID = "0403020106050807090A0B0C0D0E0F100"
BASE, STACK = 0x40_0000, 0x6000_0000

#: Frames of 32, 48 and 16 bytes without frame pointers: only call frame information finds the callers.
SYM = f"""\
MODULE Linux x86_64 {DEBUG_ID} MyApp
INFO CODE_ID {BUILD_ID.hex().upper()}
FILE 0 /src/world.cpp
FILE 1 /src/math.h
INLINE_ORIGIN 0 Vector::length() const
FUNC 1000 80 0 World::tick(int)
INLINE 0 12 0 0 1008 10
1000 8 10 0
1008 10 7 1
1018 68 14 0
FUNC 2000 80 0 Game::run()
2000 80 30 0
FUNC 3000 40 0 main
3000 40 41 0
PUBLIC 4000 0 _start
STACK CFI INIT 1000 80 .cfa: $rsp 8 + .ra: .cfa -8 + ^
STACK CFI 1004 .cfa: $rsp 32 + $rbx: .cfa -16 + ^
STACK CFI INIT 2000 80 .cfa: $rsp 48 + .ra: .cfa -8 + ^
STACK CFI INIT 3000 40 .cfa: $rsp 16 + .ra: .cfa -8 + ^
STACK CFI INIT 4000 40 .cfa: $rsp 8 +
"""

#: What such a stack holds, innermost first: function, line.
FRAMES = [("World::tick(int)", 12), ("Game::run()", 30), ("main", 41), ("_start", None)]


def game_dump() -> Minidump:
    """Return the dump of a crash in ``World::tick``, called by ``Game::run``, ``main`` and ``_start``."""
    return Minidump(game_dump_bytes())


def game_dump_bytes() -> bytes:
    """Return the bytes of that dump."""
    words = [0xA1, 0xA2, 0x77, BASE + 0x2010]  # a frame of 32 bytes; rbx is saved in it
    words += [0xB1, 0xB2, 0xB3, 0xB4, 0xB5, BASE + 0x3008]
    words += [0xC1, BASE + 0x4008]
    words += [0] * 32
    stack = pack(f"<{len(words)}Q", *words)
    registers = context("amd64", {"rip": BASE + 0x1010, "rsp": STACK, "rbp": 0x5555, "rbx": 1})
    builder = DumpBuilder()
    builder.system("Linux", "amd64", (0, 0, 0), samples.LINUX.version_name)
    builder.exception(1, 11, 1, 0x10, (), context=registers)
    builder.threads([ThreadSpec(1, registers, STACK, stack, "main")])
    builder.modules([ModuleSpec(BASE, 0x10000, "/opt/MyApp/MyApp", elf_build_id(BUILD_ID))])
    builder.memory([(STACK, stack)])
    return builder.build()


@cache
def _made_store() -> Path:
    """Return the directory of a store that is made once for this process, because another process compiles symbols."""
    directory = Path(tempfile.mkdtemp(prefix="antenna-symbols-"))
    atexit.register(shutil.rmtree, directory)
    file = directory / "MyApp.sym"
    file.write_text(SYM)
    Store(directory / "symbols").add(file)
    return directory / "symbols"


def filled_store(directory: Path) -> Store:
    """Return a store with the symbols of ``game_dump``."""
    shutil.copytree(_made_store(), directory / "symbols")
    return Store(directory / "symbols")
