# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the code that a signal interrupted.

Before Linux calls a handler of a signal, it saves all registers on the stack. The handler returns to a few instructions
(``__restore_rt`` of glibc) that have the kernel put them back. Their frame is recognised by what lies at its stack
pointer, since its call frame information needs expressions that symbol files of Breakpad cannot have.

The structures are ``ucontext`` and ``sigcontext`` of Linux: https://github.com/torvalds/linux, the files
``arch/x86/include/uapi/asm/sigcontext.h`` and ``arch/arm64/include/uapi/asm/sigcontext.h``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType

from antenna.minidump.cpu import Registers
from antenna.minidump.process import Process


@dataclass(frozen=True, slots=True)
class _Layout:
    """The place where the kernel saves registers, relative to the stack pointer of the frame that restores them."""

    registers: Struct
    offset: int
    names: tuple[str, ...]
    size: int
    """Bytes of the frame that are looked at."""
    is_saved: Callable[[bytes, int], bool]
    """Whether these bytes, at this stack pointer, are what the kernel writes."""


# The state of the floating point unit lies above the registers. With AMX it has 11 kB.
_LARGEST_FPU_STATE = 65_536
# Selectors of the segments in which Linux runs 64-bit programs.
_USER_CODE, _USER_DATA = 0x33, 0x2B
# uc_flags and uc_link; cs and ss; fpstate
_UCONTEXT = Struct("<QQ")
_SEGMENTS = Struct("<H4xH")
_POINTER = Struct("<Q")
# The first of the records behind the registers of arm64 is that of the floating point unit: magic and size.
_FPSIMD = Struct("<II")
_FPSIMD_RECORD = (0x46508001, 528)


def _is_amd64(content: bytes, sp: int) -> bool:
    flags, link = _UCONTEXT.unpack_from(content)
    code, data = _SEGMENTS.unpack_from(content, 184)
    (fpu,) = _POINTER.unpack_from(content, 224)
    # Kernels before 4.6 left the stack segment empty.
    is_user = code == _USER_CODE and data in {0, _USER_DATA}
    return flags < 8 and link == 0 and is_user and (fpu == 0 or sp < fpu < sp + _LARGEST_FPU_STATE)  # noqa: PLR2004 - of uc_flags three bits are used


def _is_arm64(content: bytes, _sp: int) -> bool:
    flags, link = _UCONTEXT.unpack_from(content, 128)
    return flags == link == 0 and _FPSIMD.unpack_from(content, 592) == _FPSIMD_RECORD


_LAYOUTS: Mapping[str, _Layout] = MappingProxyType(
    {
        "amd64": _Layout(
            Struct("<17Q"), 40,
            ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx",
             "rsp", "rip"),
            232, _is_amd64,
        ),
        "arm64": _Layout(
            Struct("<33Q"), 312, (*(f"x{number}" for number in range(31)), "sp", "pc"), 600, _is_arm64
        ),
    }
)  # fmt: skip


def unwind(registers: Registers, process: Process) -> Registers | None:
    """Return the registers that a signal interrupted, if this is the frame that puts them back, or None."""
    cpu = registers.cpu
    layout = _LAYOUTS.get(cpu.name)
    if layout is None:
        return None
    content = process.memory.read(registers.sp, layout.size)
    if len(content) < layout.size or not layout.is_saved(content, registers.sp):
        return None
    return Registers(cpu, dict(zip(layout.names, layout.registers.unpack_from(content, layout.offset), strict=True)))
