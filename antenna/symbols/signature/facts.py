# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What signatures are made of, and what they are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from antenna.minidump import Stack


@dataclass(frozen=True, slots=True)
class CrashFacts:
    """What is known of a crash."""

    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Those of the raw crash; values of any type, as clients sent them."""
    product: str = ""
    os: str = ""
    """As the minidump reader names it, such as ``Windows``; empty without a dump."""
    reason: str = ""
    """Why the process crashed, such as ``SIGSEGV / SEGV_MAPERR``; empty if the dump has no exception."""
    is_crash: bool = True
    """False for a dump that the program asked for, such as one of a hang."""
    stacks: Sequence[Stack] = ()
    """The stacks of the threads."""
    crashing_thread: int | None = None
    """Index of the thread that crashed, or asked for the dump, among the stacks."""
    trouble: str = ""
    """Why there are no stacks, for people: no dump came, or it cannot be read."""
    dump_names: Sequence[str] = ()

    @property
    def stack(self) -> Stack | None:
        """The stack of the thread that crashed."""
        if self.crashing_thread is None or self.crashing_thread >= len(self.stacks):
            return None
        return self.stacks[self.crashing_thread]

    def text(self, *names: str) -> str:
        """Return the first of these annotations that has a value, as text; an empty text if none has."""
        for name in names:
            value = self.annotations.get(name)
            if value not in (None, ""):
                return value if isinstance(value, str) else json.dumps(value)
        return ""

    def parsed(self, name: str) -> Any:
        """Return an annotation that holds JSON, be it as text or as it is; None if it does not."""
        value = self.annotations.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None

    def number(self, name: str) -> int | None:
        """Return an annotation that is a number; None if it is none."""
        try:
            return int(self.text(name))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and where it comes from."""

    text: str
    rules: str
    """Name and version of the rules that made it."""
    is_guess: bool = False
    """Whether it is made of frames that may never have been there."""

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to make a signature of."""
        return self.text.startswith("EMPTY:")
