# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Walks a stack: from a thread's registers to the calls that led there, the innermost first.

There are four ways to find the caller of a frame. They are tried in this order, and each frame says how it was found:

1. The registers that the kernel saved before it called the handler of a signal (``context``, like the innermost frame).
2. Call frame information (``cfi``), if somebody plugs in an ``Unwinder`` that has it.
3. The chain of frame pointers (``frame_pointer``). After a jump to an address without code, it is the return address at
   the place where the calling convention puts it.
4. A search of the stack for words that look like return addresses (``scan``). Its result is a guess.

The walk ends when a way says that there is no caller, when no way finds one, or at a limit, since hostile stacks may go
on for ever.
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

# Most frames of a stack that are walked, as in Breakpad. Endless recursion has more, but they are all alike.
MAX_FRAMES = 1024
# Most words of memory that a walker reads, for all stacks of a dump together. The stacks of a browser with 70 threads
# take 100,000.
MAX_WORDS = 500_000
# Words that each frame counts for besides scanning: the frame pointers, and a share for finding modules.
_WORDS_OF_A_FRAME = 10


class Trust(Enum):
    """The way in which a frame was found, the best first."""

    CONTEXT = "context"
    CFI = "cfi"
    FRAME_POINTER = "frame_pointer"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Inline:
    """A function whose code the compiler has put into that of its caller."""

    function: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A call on a stack. The fields that need symbols are None until they are filled in (``dataclasses.replace``)."""

    index: int
    instruction: int
    """An address inside an instruction: the one that the thread was at, or the call that has not returned."""
    trust: Trust
    registers: Registers
    module: Module | None
    function: str | None = None
    function_offset: int | None = None
    """Offset of the instruction from the start of the function."""
    file: str | None = None
    line: int | None = None
    inlines: tuple[Inline, ...] = field(default=())
    """The inlined functions, the innermost first. The frame's own function is not among them."""

    @property
    def module_offset(self) -> int | None:
        """The offset of the instruction from the module's base."""
        return None if self.module is None else self.instruction - self.module.base

    @property
    def is_exact(self) -> bool:
        """Whether the thread was at this very instruction: in the innermost frame, or where a signal interrupted it."""
        return self.trust is Trust.CONTEXT

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal interrupted this frame, and the frames before it are those of the signal's handler."""
        return self.is_exact and self.index > 0

    @property
    def is_guess(self) -> bool:
        """Whether the frame is a guess, so that it may not be a real call."""
        return self.trust is Trust.SCAN


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of a thread, the innermost first."""

    frames: tuple[Frame, ...]
    cut: str = ""
    """Why there may be more frames than these. It is empty if the walk came to its end."""


class Unwinder(Protocol):
    """A way to find the caller of a frame."""

    def __call__(self, frame: Frame, process: Process) -> Registers | None:
        """Return the registers of the caller, or None if it is not found in this way.

        The registers must have at least the instruction pointer, which is the return address, and the stack pointer. If
        the frame is the outermost, the instruction pointer is 0.
        """


class StackWalker:
    """Walks the stacks of one dump. The work for all of them together is bounded."""

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
        """Walk the stack of a thread. The walk of the thread that crashed begins where it crashed."""
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
        """Return the caller of a jump to an address without code, such as a call of a null function pointer."""
        reason = self._dump.reason
        if not frame.is_exact or process.may_be_code(frame.instruction):
            return None
        if frame.index == 0 and (reason is None or reason.address != frame.instruction):
            return None
        return frame_pointer.return_at_once(frame.registers, process)

    def _by_scan(self, frame: Frame, process: Process) -> Registers | None:
        if frame.trust is Trust.FRAME_POINTER and frame.registers.fp == 0:
            # The chain of frame pointers has ended. The words above its end do not belong to calls of this thread.
            return None
        count = scan.WORDS_FROM_CERTAIN if frame.trust in {Trust.CONTEXT, Trust.CFI} else scan.WORDS
        self._words_left -= count
        return scan.unwind(frame.registers, process, count)

    def _is_progress(self, frame: Frame, caller: Registers) -> bool:
        """Whether the caller's frame is further up. Only a function without calls may have none of its own (ARM)."""
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
