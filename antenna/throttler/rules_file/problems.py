# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What is wrong with a rules file, and where."""

import difflib
from collections.abc import Iterable


class RulesFileError(ValueError):
    """What is wrong with a rules file: each line and rule, and what was expected there."""


class Problem(Exception):
    """One thing that is wrong with a rule. ``key`` is the key that it is about."""

    def __init__(self, key: str, what: str) -> None:
        """``what`` completes a sentence that begins with the line and the rule."""
        super().__init__(what)
        self.key = key


def meant(key: str, known: Iterable[str]) -> str:
    """Return the end of the sentence on an unknown key: the one that is most like it, or all."""
    names = sorted(known)
    close = difflib.get_close_matches(key.lower(), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
