# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash ends with the backend or in the spool. If neither takes it, nothing is promised."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from antenna.crashmover.attempts import AttemptOutcome
from antenna.crashmover.destination import Destination, Sent
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.refusal import LossCause, Lost
from tests.support.spools import make_spool

DONE, FAILED, NOT_TRIED = AttemptOutcome.DONE, AttemptOutcome.FAILED, AttemptOutcome.NOT_TRIED
STILL_GOING_ON = None
TAKES, FULL, NO_SPOOL = "takes", "full", "no spool"
REFUSED = "refused"


@pytest.mark.parametrize(
    ("outcomes", "spool", "becomes"),
    [
        ([DONE], TAKES, Sent.SENT),
        ([DONE], FULL, Sent.SENT),
        ([DONE], NO_SPOOL, Sent.SENT),
        ([FAILED], TAKES, Sent.SPOOLED),
        ([NOT_TRIED], TAKES, Sent.SPOOLED),
        ([STILL_GOING_ON], TAKES, Sent.SPOOLED),
        ([FAILED], FULL, REFUSED),
        ([NOT_TRIED, DONE], FULL, Sent.SENT),
        ([NOT_TRIED, FAILED], FULL, REFUSED),
        ([NOT_TRIED, NOT_TRIED], FULL, REFUSED),
        ([STILL_GOING_ON, DONE], FULL, Sent.SENT),
        ([STILL_GOING_ON, FAILED], FULL, REFUSED),
        ([FAILED], NO_SPOOL, REFUSED),
    ],
)
def test_backend_is_tried_first_then_the_spool_then_the_backend_again(
    tmp_path: Path, outcomes: list[AttemptOutcome | None], spool: str, becomes: Sent | str
) -> None:
    left: Iterator[AttemptOutcome | None] = iter(outcomes)
    spooled: list[SpoolWriter] = []

    def write(writer: SpoolWriter) -> None:
        if spool == FULL:
            raise Lost(LossCause.SPOOL_FULL)
        spooled.append(writer)

    writer = None if spool == NO_SPOOL else SpoolWriter(make_spool(tmp_path / "spool"))
    destination = Destination(writer)

    if becomes == REFUSED:
        with pytest.raises(Lost) as raised:
            destination.send(lambda: next(left), write)
        assert raised.value.cause is (LossCause.NO_SPOOL if spool == NO_SPOOL else LossCause.SPOOL_FULL)
    else:
        assert destination.send(lambda: next(left), write) is becomes

    assert list(left) == [], "it is tried as often as the table says"
    assert spooled == [writer] * (becomes is Sent.SPOOLED)
