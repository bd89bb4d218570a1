# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the line of a rules file that an error is about. ``tomllib`` gives the line only of errors in the syntax."""

import re

_RULE_HEADER = re.compile(r"\s*\[\[\s*[\"']?rules[\"']?\s*\]\]")
_ANY_HEADER = re.compile(r"\s*\[\[?[\w\s.\"'-]+\]\]?\s*(?:#.*)?")


class Lines:
    """The lines of a rules file, numbered from 1."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._rules = [number for number, line in enumerate(self._lines) if _RULE_HEADER.match(line)]

    def of_key(self, key: str) -> int:
        """Return the line of a key outside of rules, or of the table with that name. Returns 1 if it is not found."""
        pattern = re.compile(rf"\s*\[{{0,2}}[\"']?{re.escape(key)}[\"']?\s*[]=.]")
        for number, line in enumerate(self._lines):
            if pattern.match(line):
                return number + 1
        return 1

    def of_rule(self, position: int, count: int, name: object, key: str) -> int:
        """Return the line of a key in the rule at ``position`` of ``count``.

        If it is not found, return that of the rule.
        """
        start = self._start(position, count, name)
        # The key may be in an inline table, after other keys.
        pattern = re.compile(rf"(?:^|[\s{{,.])[\"']?{re.escape(key)}[\"']?\s*[=.]")
        for number in range(start, self._end(start)):
            if pattern.search(self._lines[number].partition("#")[0]):
                return number + 1
        return start + 1

    def _start(self, position: int, count: int, name: object) -> int:
        if len(self._rules) == count:
            return self._rules[position]
        # The rules are not written as tables of their own, or a text of several lines looks like the header of one.
        for number, line in enumerate(self._lines):
            if isinstance(name, str) and re.search(rf"\bname\s*=\s*[\"']{re.escape(name)}[\"']", line):
                return number
        return 0

    def _end(self, start: int) -> int:
        for number in range(start + 1, len(self._lines)):
            if _ANY_HEADER.fullmatch(self._lines[number]):
                return number
        return len(self._lines)
