# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A damaged entry is set aside at once, a refused one after five times. All other entries are retried for ever."""

import errno
from pathlib import Path

import pytest

from antenna.backend import BackendDenied, BackendError, CrashRefused, NoAnswer
from antenna.crashmover.breaker import CircuitBreaker
from antenna.crashmover.verdicts import Pace, Verdicts
from antenna.spool import Entry, EntryDamaged, Kind
from tests.support.crashes import make_id
from tests.support.spools import make_spool, names

DAMAGED = EntryDamaged("no raw crash")
REFUSED = CrashRefused("status 400")
BUG = ZeroDivisionError()
AWAY = BackendError("status 503")
DENIED = BackendDenied("status 403")
SILENT = NoAnswer("no answer")
UNREADABLE = OSError(errno.EIO, "Input/output error")

AT_ONCE, AFTER_FIVE, NEVER = 1, 5, None
ENOUGH = 300


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker("publish")


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    spool = make_spool(tmp_path / "spool")
    spool.add_id(make_id())
    claimed = spool.claim(Kind.ID, names(spool, Kind.ID)[0])
    assert claimed
    return claimed


def works() -> None:
    """Report good health."""


def is_away() -> None:
    raise AWAY


@pytest.mark.parametrize(
    ("error", "others_get_through", "is_healthy", "set_aside"),
    [
        (DAMAGED, False, False, AT_ONCE),
        (DAMAGED, True, True, AT_ONCE),
        (REFUSED, True, False, AFTER_FIVE),
        (REFUSED, False, True, AFTER_FIVE),
        (REFUSED, False, False, NEVER),
        (BUG, False, True, AFTER_FIVE),
        (BUG, False, False, NEVER),
        *((error, others, healthy, NEVER) for error in (AWAY, DENIED, SILENT) for others, healthy in ((1, 1), (0, 0))),
        (UNREADABLE, True, True, NEVER),
    ],
)
def test_entry_is_set_aside_after_its_last_chance(
    breaker: CircuitBreaker,
    entry: Entry,
    error: Exception,
    others_get_through: bool,
    is_healthy: bool,
    set_aside: int | None,
) -> None:
    verdicts = Verdicts(breaker, works if is_healthy else is_away, Pace())
    judged: list[bool] = []
    while len(judged) < ENOUGH and True not in judged:
        if others_get_through:
            breaker.succeeded()
        judged.append(verdicts.judge(entry, error))

    # The first refusal does not count as a used chance if no check has shown that the backend works.
    used = 1 if set_aside == AFTER_FIVE and not is_healthy else 0
    assert len(judged) == (ENOUGH if set_aside is NEVER else set_aside + used)


@pytest.mark.parametrize(("error", "blames_backend"), [(REFUSED, False), (UNREADABLE, False), (AWAY, True)])
def test_backend_is_down_only_when_it_is_to_blame(
    breaker: CircuitBreaker, entry: Entry, error: Exception, blames_backend: bool
) -> None:
    Verdicts(breaker, works, Pace()).judge(entry, error)

    assert breaker.failures == blames_backend


def test_entry_that_failed_is_due_later_and_gets_more_time(breaker: CircuitBreaker, entry: Entry) -> None:
    verdicts = Verdicts(breaker, works, Pace(first_retry=100.0, longest_retry=100.0))
    name = entry.path.name
    assert verdicts.is_due(name)
    assert verdicts.time_factor(name) == 1

    verdicts.judge(entry, REFUSED)
    assert not verdicts.is_due(name)
    assert verdicts.time_factor(name) == 2

    breaker.trip("refused")
    assert verdicts.time_factor(name) == 1, "the question is whether the backend is back"

    verdicts.forget(name)
    assert verdicts.is_due(name)
