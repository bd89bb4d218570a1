# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A client can cause only so many notes, and only short ones."""

from antenna.limits import MAX_NOTES
from antenna.payload.notes import Notes, note_repeated


def test_are_bounded() -> None:
    notes = Notes()
    notes.extend(f"note {number}" for number in range(MAX_NOTES))
    assert notes.as_list() == [f"note {number}" for number in range(MAX_NOTES)]

    notes.add("one more")
    notes.extend(["and", "more"])
    assert notes.as_list() == [*(f"note {number}" for number in range(MAX_NOTES)), "Left out notes: 3."]


def test_those_on_the_whole_report_are_never_left_out() -> None:
    notes = Notes()
    notes.extend(["odd"] * 1000)
    notes.add_always("in both")

    assert notes.as_list()[-1] == "in both"


def test_names_in_them_are_short() -> None:
    assert len(note_repeated("x" * 100_000)) < 200
