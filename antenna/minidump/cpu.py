# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The processors whose registers this reader knows, and sets of register values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cpu:
    """What a stack walker has to know of a processor."""

    name: str
    word: int
    """Bytes of an address."""
    ip: str
    """Names of registers: instruction pointer, stack pointer, frame pointer, and the link register if there is one."""
    sp: str
    fp: str
    lr: str | None
    return_adjustment: int
    """From a return address to an address inside of the call before it, which belongs to the caller's line."""

    @property
    def mask(self) -> int:
        """The largest address."""
        return (1 << 8 * self.word) - 1


# The adjustments are those of Breakpad's stack walkers.
X86 = Cpu("x86", 4, ip="eip", sp="esp", fp="ebp", lr=None, return_adjustment=1)
AMD64 = Cpu("amd64", 8, ip="rip", sp="rsp", fp="rbp", lr=None, return_adjustment=1)
# r11 is the frame pointer of ARM code; Apple's compilers, and Thumb code, use r7.
ARM = Cpu("arm", 4, ip="pc", sp="sp", fp="r11", lr="lr", return_adjustment=2)
ARM_APPLE = Cpu("arm", 4, ip="pc", sp="sp", fp="r7", lr="lr", return_adjustment=2)
ARM64 = Cpu("arm64", 8, ip="pc", sp="sp", fp="x29", lr="x30", return_adjustment=4)


@dataclass(frozen=True, slots=True)
class Registers:
    """Values of those registers that are known: all of them in a dump's context, fewer in the frames above it."""

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
        """The frame pointer, if known."""
        return self.values.get(self.cpu.fp)

    @property
    def lr(self) -> int | None:
        """The link register, if there is one and it is known."""
        return self.values.get(self.cpu.lr) if self.cpu.lr else None


def caller(cpu: Cpu, *, ip: int, sp: int, fp: int | None = None) -> Registers:
    """Return the few registers of a caller that a walk without call frame information finds."""
    values = {cpu.ip: ip, cpu.sp: sp}
    if fp is not None:
        values[cpu.fp] = fp
    return Registers(cpu, values)
