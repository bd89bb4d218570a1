# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A reason, and where it tells of one: an address."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

# First names that stand for many reasons.
_VAGUE = {"EXC_CRASH", "EXC_GUARD", "EXC_RESOURCE", "EXC_SOFTWARE", "EXCEPTION_STACK_BUFFER_OVERRUN"}


class Kind(Enum):
    """What made somebody write the dump."""

    CRASH = "crash"
    REQUESTED = "requested"
    """The program, or somebody else, asked for a dump; nothing crashed."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a dump was written."""

    text: str
    address: int
    """The address that the record gives: of the memory that was accessed, or else mostly of the instruction."""
    kind: Kind = Kind.CRASH
    has_address: bool = True
    """Whether the address is one: some signals have none, and some reporters do not say."""
    note: str = ""
    """What a reader of text and address should know, such as that the address is none."""

    @property
    def short(self) -> str:
        """The first name of the reason; all of it where that says little."""
        first = self.text.partition(" / ")[0]
        return self.text if first in _VAGUE else first

    def with_address_mask(self, mask: int) -> Self:
        """Return the reason with the address cut: some writers extend the sign of addresses of 32 bits."""
        return replace(self, address=self.address & mask)


def raw(code: int, flags: int) -> str:
    """Return numbers that have no name, as Breakpad shows them."""
    return f"{code:#010x} / {flags:#010x}"
