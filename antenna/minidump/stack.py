# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Walks a stack: from a thread's registers to the calls that led there, innermost first.

For each frame the ways of finding its caller are tried in this order, and the frame says which it was: the registers
that the kernel saved before it called the handler of a signal (``context``, as the innermost frame); call frame
information, where somebody plugs in an ``Unwinder`` that has it (``cfi``); the chain of frame pointers, or after a jump
to nowhere the return address that the calling convention leaves (``frame_pointer``); a search of the stack for words
that look like return addresses (``scan``), which is a guess.

The walk ends where a way says so, where no way finds a caller, or at a limit: hostile stacks may go on for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from antenna.minidump import frame_pointer, scan, signal_frame
from antenna.minidump.cpu import Registers
from antenna.minidump.minidump import Minidump
from antenna.minidump.modules import Module
from antenna.minidump.process import Process
from antenna.minidump.threads import Thread

# Frames of a stack that are walked, as in Breakpad. Endless recursion has more of them, all alike.
MAX_FRAMES = 1024
# Words of memory that a walker looks at, in all stacks of a dump. Those of a browser with 70 threads take 100,000.
MAX_WORDS = 500_000
# What a frame takes of them beside scanning: the frame pointers, and a share for finding modules.
_WORDS_OF_A_FRAME = 10


class Trust(Enum):
    """How a frame was found, best first."""

    CONTEXT = "context"
    CFI = "cfi"
    FRAME_POINTER = "frame_pointer"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Inline:
    """A function whose code the compiler put into that of its caller."""

    function: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A call on a stack. What needs symbols is None until somebody has looked it up (``dataclasses.replace``)."""

    index: int
    instruction: int
    """An address inside of the instruction: that at which the thread was, or the call that has not returned."""
    trust: Trust
    registers: Registers
    module: Module | None
    function: str | None = None
    function_offset: int | None = None
    """Of the instruction from the start of the function."""
    file: str | None = None
    line: int | None = None
    inlines: tuple[Inline, ...] = field(default=())
    """Innermost first; the frame's own function is the outermost, and not among them."""

    @property
    def module_offset(self) -> int | None:
        """The instruction's distance from the module's base."""
        return None if self.module is None else self.instruction - self.module.base

    @property
    def is_exact(self) -> bool:
        """Whether the thread was at this very instruction: in the innermost frame, or where a signal interrupted it."""
        return self.trust is Trust.CONTEXT

    @property
    def is_guess(self) -> bool:
        """Whether the frame may never have been there."""
        return self.trust is Trust.SCAN


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of a thread, innermost first."""

    frames: tuple[Frame, ...]
    cut: str = ""
    """Why there may be more frames than these; empty if the walk came to its end."""


class Unwinder(Protocol):
    """A way of finding a frame's caller."""

    def __call__(self, frame: Frame, process: Process) -> Registers | None:
        """Return the registers of the caller, or None if this way does not know.

        At least instruction and stack pointer must be among them, the former as the return address is. An instruction
        pointer of 0 says that the frame is the outermost.
        """


class StackWalker:
    """Walks the stacks of one dump, with bounded work for all of them together."""

    def __init__(self, dump: Minidump, unwinders: Sequence[tuple[Trust, Unwinder]] = ()) -> None:
        """``unwinders`` are tried before the walker's own ways."""
        self._dump = dump
        self._process = Process(dump.memory, dump.modules, dump.memory_map)
        self._ways: tuple[tuple[Trust, Unwinder], ...] = (
            (Trust.CONTEXT, self._by_signal_frame),
            (Trust.FRAME_POINTER, self._by_return_from_nowhere),
            *unwinders,
            (Trust.FRAME_POINTER, _by_frame_pointer),
            (Trust.SCAN, self._by_scan),
        )
        self._words_left = MAX_WORDS

    def walk(self, thread: Thread) -> Stack:
        """Walk the stack of a thread; of the one that crashed from where it crashed."""
        registers = self.registers_of(thread)
        if registers is None:
            return Stack((), cut=self._why_no_registers())
        frames = [self._frame(0, registers, Trust.CONTEXT)]
        while len(frames) < MAX_FRAMES and self._words_left > 0:
            self._words_left -= _WORDS_OF_A_FRAME
            found = self._caller(frames[-1])
            if found is None:
                return Stack(tuple(frames))
            frames.append(found)
        return Stack(tuple(frames), cut=f"only {len(frames):,} frames were walked")

    def registers_of(self, thread: Thread) -> Registers | None:
        """Return the registers from which a walk begins."""
        exception = self._dump.exception
        if exception is not None and thread.id == exception.thread_id and exception.registers is not None:
            return exception.registers
        return thread.registers

    def _why_no_registers(self) -> str:
        system = self._dump.system
        if system is None:
            return "the dump does not say for which CPU it is"
        if system.cpu not in {"x86", "amd64", "arm", "arm64"}:
            return f"registers of {system.cpu} are not read"
        return "the dump has no registers of the thread"

    def _caller(self, frame: Frame) -> Frame | None:
        for trust, unwind in self._ways:
            registers = unwind(frame, self._process)
            if registers is None:
                continue
            if trust is Trust.CONTEXT:
                return self._frame(frame.index + 1, registers, trust)
            if not registers.ip:
                return None
            if self._is_progress(frame, registers):
                return self._frame(frame.index + 1, registers, trust)
        return None

    def _by_signal_frame(self, frame: Frame, process: Process) -> Registers | None:
        """Return the registers that a signal interrupted; its handler may have had another stack."""
        is_linux = self._dump.system is not None and self._dump.system.is_linux
        return signal_frame.unwind(frame.registers, process) if is_linux else None

    def _by_return_from_nowhere(self, frame: Frame, process: Process) -> Registers | None:
        """Return the caller that jumped to an address without code, such as that of a null function pointer."""
        reason = self._dump.reason
        if not frame.is_exact or process.may_be_code(frame.instruction):
            return None
        if frame.index == 0 and (reason is None or reason.address != frame.instruction):
            return None
        return frame_pointer.return_at_once(frame.registers, process)

    def _by_scan(self, frame: Frame, process: Process) -> Registers | None:
        if frame.trust is Trust.FRAME_POINTER and frame.registers.fp == 0:
            # The chain of frame pointers came to its end: what stands above it is no stack of this thread's calls.
            return None
        count = scan.WORDS_FROM_CERTAIN if frame.trust in {Trust.CONTEXT, Trust.CFI} else scan.WORDS
        self._words_left -= count
        return scan.unwind(frame.registers, process, count)

    def _is_progress(self, frame: Frame, caller: Registers) -> bool:
        """Whether the caller's frame is further up; only one that calls nothing may have none of its own (ARM)."""
        callee = frame.registers
        if caller.sp > callee.sp:
            return True
        return frame.is_exact and caller.sp == callee.sp and callee.cpu.lr is not None

    def _frame(self, index: int, registers: Registers, trust: Trust) -> Frame:
        instruction = registers.ip
        if trust is not Trust.CONTEXT:
            instruction = max(0, instruction - registers.cpu.return_adjustment)
        return Frame(index, instruction, trust, registers, self._dump.modules.find(instruction))


def _by_frame_pointer(frame: Frame, process: Process) -> Registers | None:
    in_chain = frame.trust is Trust.FRAME_POINTER
    return frame_pointer.unwind(frame.registers, process, is_top=frame.is_exact, in_chain=in_chain)
