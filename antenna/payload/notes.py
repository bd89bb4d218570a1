# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Collects notes on what was odd about a report. They are stored as ``collector_notes`` in its raw crash."""

from collections.abc import Iterable

from antenna.limits import MAX_NOTES


class Notes:
    """The notes on one report. Their number is bounded, since clients can cause them."""

    def __init__(self) -> None:
        """At first there are no notes."""
        self._notes: list[str] = []
        self._always: list[str] = []
        self._left_out = 0

    def add(self, note: str) -> None:
        """Add a note. If there are ``MAX_NOTES`` already, it is only counted."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(note)
        else:
            self._left_out += 1

    def add_always(self, note: str) -> None:
        """Add a note that is kept in any case, such as one about the whole report."""
        self._always.append(note)

    def extend(self, notes: Iterable[str]) -> None:
        """Add several notes."""
        for note in notes:
            self.add(note)

    def as_list(self) -> list[str]:
        """Return the notes as they are stored."""
        left_out = [f"Left out notes: {self._left_out}."] if self._left_out else []
        return [*self._notes, *left_out, *self._always]


def note_repeated(name: str) -> str:
    """Return the note on an annotation that came more than once."""
    return f"Repeated annotation {shorten(name)}: the last one was kept."


def shorten(name: str) -> str:
    """Cut a name that a client chose to the length that it may have in a note."""
    return name[:100]
