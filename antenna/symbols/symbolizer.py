# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Applies symbols to the stacks of one dump: they find the caller of a frame, and they name frames."""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from antenna.minidump import Frame, Inline, Minidump, Module, Process, Registers, Stack, StackWalker, Thread, Trust
from antenna.symbols import rules, windows_rules
from antenna.symbols.cfi_index import CfiIndex
from antenna.symbols.names import Name, Names
from antenna.symbols.store import Store

T = TypeVar("T")


class SymbolWalker(StackWalker):
    """Walks the stacks of a dump with the symbols in a store, and names their frames."""

    def __init__(self, dump: Minidump, store: Store) -> None:
        self._symbolizer = Symbolizer(store)
        super().__init__(dump, [(Trust.CFI, self._symbolizer.unwind)])

    def walk(self, thread: Thread) -> Stack:
        """Walk the stack of a thread, and name its frames."""
        return self._symbolizer.named(super().walk(thread))


class Symbolizer:
    """Looks up the symbols in a store for the modules of one dump."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cfi: dict[Module, CfiIndex | None] = {}
        self._names: dict[Module, Names | None] = {}
        # Bytes of parameters of each frame of the current stack, by the index of the frame. 32-bit Windows needs them.
        self._parameters: dict[int, int] = {}

    def unwind(self, frame: Frame, process: Process) -> Registers | None:
        """Return the registers of a frame's caller, by call frame information. This is an ``Unwinder``."""
        if frame.index == 0:
            self._parameters = {}
        module = frame.module
        index = self._index(module) if module is not None else None
        if module is None or index is None:
            return None

        def word(address: int) -> int | None:
            return process.memory.word(address, cpu.word)

        cpu = frame.registers.cpu
        offset = frame.instruction - module.base
        found = index.rules_at(offset)
        if found is not None:
            caller = rules.unwind(found, frame.registers, word)
        elif cpu.name == "x86" and (rule := index.windows_rule_at(offset)) is not None:
            self._parameters[frame.index] = rule.parameters
            below = self._parameters.get(frame.index - 1, 0)
            caller = windows_rules.unwind(rule, below, frame.registers, word, process.may_be_module_code)
        else:
            return None
        return None if caller is None else _plain(caller, process)

    def named(self, stack: Stack) -> Stack:
        """Return a stack whose frames have functions, files and lines, as far as the store knows them."""
        return replace(stack, frames=tuple(map(self._name, stack.frames)))

    def _name(self, frame: Frame) -> Frame:
        names = self._module_names(frame.module) if frame.module is not None else None
        found = names.at(frame.module_offset or 0) if names is not None else []
        if not found:
            return frame
        *inlined, outermost = found
        return replace(
            frame,
            function=outermost.function,
            function_offset=outermost.offset,
            file=outermost.file,
            line=outermost.line,
            inlines=tuple(map(_inline, inlined)),
        )

    def _index(self, module: Module) -> CfiIndex | None:
        if module not in self._cfi:
            self._cfi[module] = self._open(module, ".cfi", CfiIndex)
        return self._cfi[module]

    def _module_names(self, module: Module) -> Names | None:
        if module not in self._names:
            self._names[module] = self._open(module, ".symcache", Names)
        return self._names[module]

    def _open(self, module: Module, suffix: str, opener: Callable[[Path], T]) -> T | None:
        file = self._store.file(module.debug_file or module.name, module.debug_id, suffix)
        if file is not None:
            # A file that cannot be read, for example after an upgrade, counts as missing. It can be added again.
            with contextlib.suppress(sqlite3.Error, ValueError):
                return opener(file)
        return None


def _inline(name: Name) -> Inline:
    return Inline(name.function, name.file, name.line)


def _plain(registers: Registers, process: Process) -> Registers:
    """Return registers whose instruction pointer has only the bits of the address."""
    cpu = registers.cpu
    plain = process.plain_address(registers.ip, cpu)
    return registers if plain == registers.ip else Registers(cpu, {**registers.values, cpu.ip: plain})
