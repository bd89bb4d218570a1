# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the registers of a thread from its CONTEXT structure (winnt.h; for ARM also Breakpad's minidump_cpu_*.h)."""

from dataclasses import dataclass
from struct import Struct

from antenna.minidump.cpu import AMD64, ARM, ARM64, ARM_APPLE, X86, Cpu, Registers
from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location
from antenna.minidump.system_info import SystemInfo


@dataclass(frozen=True, slots=True)
class _Layout:
    """The offsets of the flags and the registers in a context."""

    cpu: Cpu
    flags: Struct
    flags_offset: int
    cpu_flags: tuple[int, ...]
    """If one of these bits is set in the flags, the context is one of this CPU."""
    registers: Struct
    registers_offset: int
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        return self.registers_offset + self.registers.size


_UINT32 = Struct("<I")
_UINT64 = Struct("<Q")
_X_REGISTERS = tuple(f"x{number}" for number in range(31))
_R_REGISTERS = tuple(f"r{number}" for number in range(13))

_X86 = _Layout(
    X86, _UINT32, 0, (0x10000,), Struct("<16I"), 140,
    ("gs", "fs", "es", "ds", "edi", "esi", "ebx", "edx", "ecx", "eax", "ebp", "eip", "cs", "eflags", "esp", "ss"),
)  # fmt: skip
_AMD64 = _Layout(
    AMD64, _UINT32, 48, (0x100000,), Struct("<I48x17Q"), 68,
    ("eflags", "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
     "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
)  # fmt: skip
# Windows has CONTEXT_ARM 0x200000 where Breakpad has 0x40000000. The registers are at the same offsets.
_ARM = _Layout(ARM, _UINT32, 0, (0x40000000, 0x200000), Struct("<17I"), 4, (*_R_REGISTERS, "sp", "lr", "pc", "cpsr"))
_ARM64 = _Layout(ARM64, _UINT32, 0, (0x400000,), Struct("<I33Q"), 4, ("cpsr", *_X_REGISTERS, "sp", "pc"))
_ARM64_OLD = _Layout(ARM64, _UINT64, 0, (0x80000000,), Struct("<33QI"), 8, (*_X_REGISTERS, "sp", "pc", "cpsr"))

_LAYOUTS = {
    "x86": (_X86,),
    # 64-bit Windows writes a context of its own kind for a thread of a 32-bit program that runs 64-bit code.
    "amd64": (_AMD64, _X86),
    "arm": (_ARM,),
    # The order matters: a bit of the old flags is a different flag of Windows in the new ones.
    "arm64": (_ARM64, _ARM64_OLD),
}
# Largest context, in bytes. With all extensions of a processor it has some thousands.
_LARGEST = 65_536


def read_context(reader: Reader, location: Location, system: SystemInfo | None, what: str) -> Registers | None:
    """Return the registers of a context. Returns None if there is no context, or the CPU is not known.

    Raises ``MinidumpError`` if the context is damaged.
    """
    if system is None or not location.size:
        return None
    layouts = _LAYOUTS.get(system.cpu)
    if layouts is None:
        return None
    if location.size > _LARGEST or location.offset + location.size > reader.size:
        raise MinidumpError(f"{what} lies outside of the file")
    for layout in layouts:
        if location.size >= layout.size and _has_flags(reader, location, layout, what):
            return _read(reader, location, layout, system, what)
    raise MinidumpError(f"{what} is not a context of {system.cpu}")


def _has_flags(reader: Reader, location: Location, layout: _Layout, what: str) -> bool:
    (flags,) = reader.unpack(layout.flags, location.offset + layout.flags_offset, what)
    return any(flags & bit for bit in layout.cpu_flags)


def _read(reader: Reader, location: Location, layout: _Layout, system: SystemInfo, what: str) -> Registers:
    values = reader.unpack(layout.registers, location.offset + layout.registers_offset, what)
    cpu = ARM_APPLE if layout.cpu is ARM and system.is_apple else layout.cpu
    return Registers(cpu, dict(zip(layout.names, values, strict=True)))
