# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The reason for a dump, and the address that it is about."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

# First parts of reasons that say little without the second part.
_VAGUE = {"EXC_CRASH", "EXC_GUARD", "EXC_RESOURCE", "EXC_SOFTWARE", "EXCEPTION_STACK_BUFFER_OVERRUN"}


class Kind(Enum):
    """The event because of which the dump was written."""

    CRASH = "crash"
    REQUESTED = "requested"
    """Nothing crashed. The program, or another one, asked for the dump."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a dump was written."""

    text: str
    address: int
    """The address in the record: that of the memory that was accessed, or else in most cases of the instruction."""
    kind: Kind = Kind.CRASH
    has_address: bool = True
    """Whether ``address`` really is an address. Some signals have none, and some reporters do not give it."""
    note: str = ""
    """A remark for readers of the text and the address, for example that it is not really an address."""

    @property
    def short(self) -> str:
        """The first part of the reason. If that says little, it is the whole text."""
        first = self.text.partition(" / ")[0]
        return self.text if first in _VAGUE else first

    def with_address_mask(self, mask: int) -> Self:
        """Return the reason with a masked address. Some writers extend the sign of 32-bit addresses to 64 bits."""
        return replace(self, address=self.address & mask)


def raw(code: int, flags: int) -> str:
    """Return numbers without a name in the form in which Breakpad shows them."""
    return f"{code:#010x} / {flags:#010x}"
