# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The errors of a rules file, which say what is wrong and where."""

import difflib
from collections.abc import Iterable


class RulesFileError(ValueError):
    """A rules file is wrong. The text names each line and rule that is wrong, and what was expected there."""


class RuleProblem(Exception):
    """One thing that is wrong with a rule, at the key ``key``."""

    def __init__(self, key: str, what: str) -> None:
        """``what`` completes a sentence that begins with the line and the rule."""
        super().__init__(what)
        self.key = key


def meant(key: str, known: Iterable[str]) -> str:
    """Return a hint to add to a message about the unknown key ``key``: the known key most like it, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(key.lower(), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
