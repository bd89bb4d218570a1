# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The processors whose registers are read, and the values of registers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cpu:
    """The facts about a processor that a stack walker needs."""

    name: str
    word: int
    """Bytes of an address."""
    ip: str
    """The names of the instruction pointer, stack pointer, frame pointer, and of the link register if there is one."""
    sp: str
    fp: str
    lr: str | None
    return_adjustment: int
    """Subtracted from a return address, this gives an address inside the call, which belongs to the caller's line."""

    @property
    def mask(self) -> int:
        """The largest address."""
        return (1 << 8 * self.word) - 1


# The return adjustments are those of Breakpad's stack walkers.
X86 = Cpu("x86", 4, ip="eip", sp="esp", fp="ebp", lr=None, return_adjustment=1)
AMD64 = Cpu("amd64", 8, ip="rip", sp="rsp", fp="rbp", lr=None, return_adjustment=1)
# The frame pointer of ARM code is r11, but Apple's compilers, and Thumb code, use r7.
ARM = Cpu("arm", 4, ip="pc", sp="sp", fp="r11", lr="lr", return_adjustment=2)
ARM_APPLE = Cpu("arm", 4, ip="pc", sp="sp", fp="r7", lr="lr", return_adjustment=2)
ARM64 = Cpu("arm64", 8, ip="pc", sp="sp", fp="x29", lr="x30", return_adjustment=4)


@dataclass(frozen=True, slots=True)
class Registers:
    """The values of the known registers. In a dump's context all are known, in the frames above it fewer are."""

    cpu: Cpu
    values: Mapping[str, int]

    def get(self, name: str) -> int | None:
        """Return the value of a register, or None if it is not known."""
        return self.values.get(name)

    @property
    def ip(self) -> int:
        """The instruction pointer."""
        return self.values[self.cpu.ip]

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self.values[self.cpu.sp]

    @property
    def fp(self) -> int | None:
        """The frame pointer, or None if it is not known."""
        return self.values.get(self.cpu.fp)

    @property
    def lr(self) -> int | None:
        """The link register, or None if there is none or it is not known."""
        return self.values.get(self.cpu.lr) if self.cpu.lr else None


def caller(cpu: Cpu, *, ip: int, sp: int, fp: int | None = None) -> Registers:
    """Return the few registers of a caller that a walk finds without call frame information."""
    values = {cpu.ip: ip, cpu.sp: sp}
    if fp is not None:
        values[cpu.fp] = fp
    return Registers(cpu, values)
