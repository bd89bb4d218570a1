# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The parts of a process that a stack walk needs besides registers: memory, modules, and where code can be."""

from dataclasses import dataclass

from antenna.minidump.cpu import Cpu
from antenna.minidump.memory import Memory
from antenna.minidump.memory_map import MemoryMap
from antenna.minidump.modules import Modules

# Pointer authentication of arm64 puts signatures into the bits of an address above those that a process uses. Apple's
# processes use at least this many bits.
_LEAST_ADDRESS_BITS = 39


@dataclass(frozen=True, slots=True)
class Process:
    """The memory and the modules of the process that crashed, as far as the dump has them."""

    memory: Memory
    modules: Modules
    memory_map: MemoryMap

    def may_be_module_code(self, address: int) -> bool:
        """Whether there may be code of a module at an address."""
        return self.modules.find(address) is not None and self.memory_map.may_execute(address)

    def may_be_code(self, address: int) -> bool:
        """Whether there may be code at an address.

        Code that was compiled at run time, and belongs to no module, counts as well.
        """
        if self.may_be_module_code(address):
            return True
        mapping = self.memory_map.find(address)
        return mapping is not None and mapping.executable

    def plain_address(self, address: int, cpu: Cpu) -> int:
        """Return a return address without the bits that are not part of it.

        On arm64 these are a signature, on ARM the flag for Thumb code.
        """
        if cpu.name == "arm":
            return address & ~1
        if cpu.name == "arm64":
            bits = max(_LEAST_ADDRESS_BITS, self.modules.highest_address.bit_length())
            return address & ((1 << bits) - 1)
        return address
