# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The facts from which a signature is made, and the signature."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from antenna.minidump import Stack


@dataclass(frozen=True, slots=True)
class CrashFacts:
    """The facts about a crash."""

    annotations: Mapping[str, Any] = field(default_factory=dict)
    """The annotations of the raw crash. Values have any type, as clients sent them."""
    product: str = ""
    os: str = ""
    """The name that the minidump reader gives it, such as ``Windows``. It is empty without a dump."""
    reason: str = ""
    """Why the process crashed, such as ``SIGSEGV / SEGV_MAPERR``. It is empty if the dump has no exception."""
    is_crash: bool = True
    """False for a dump that the program asked for, such as one of a hang."""
    stacks: Sequence[Stack] = ()
    """The stacks of the threads."""
    crashing_thread: int | None = None
    """Index, in ``stacks``, of the thread that crashed or that asked for the dump."""
    trouble: str = ""
    """Why there are no stacks, for people: there was no dump, or it cannot be read."""
    dump_names: Sequence[str] = ()

    @property
    def stack(self) -> Stack | None:
        """The stack of the thread that crashed."""
        if self.crashing_thread is None or self.crashing_thread >= len(self.stacks):
            return None
        return self.stacks[self.crashing_thread]

    def text(self, *names: str) -> str:
        """Return the first of these annotations that has a value, as text. If none has, return ""."""
        for name in names:
            value = self.annotations.get(name)
            if value not in (None, ""):
                return value if isinstance(value, str) else json.dumps(value)
        return ""

    def parsed(self, name: str) -> Any:
        """Return the value of an annotation with JSON, which may have come as text or as JSON.

        Returns None if it is not JSON.
        """
        value = self.annotations.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None

    def number(self, name: str) -> int | None:
        """Return the number in an annotation, or None if it is not a number."""
        try:
            return int(self.text(name))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and the rules that made it."""

    text: str
    rules: str
    """Name and version of the rules that made it."""
    is_guess: bool = False
    """Whether it was made from guessed frames, which may not be real calls."""
