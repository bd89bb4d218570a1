# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""If there is no more room for temporary files, one report is refused.

It is the report whose files take most for each byte that its client has sent.
"""

import time

import gevent
import pytest

import antenna.payload.temporary_space
from antenna.payload.temporary_space import TemporaryShare, TemporarySpace
from antenna.refusal import Reason, Refusal


class Sender:
    """A client that has sent some bytes, and is still sending."""

    refusal: Refusal | None = None
    can_be_interrupted = True

    def __init__(self, size: int) -> None:
        self.size = size

    def interrupt(self, refusal: Refusal) -> None:
        self.refusal = refusal


class Report:
    """A report that takes some room. After it has been refused, it releases the room a little later."""

    def __init__(self, space: TemporarySpace, sent: int, takes: int) -> None:
        self.sender = Sender(sent)
        self.share = space.share(self.sender)
        assert self.share.reserve(takes)
        self.reading = gevent.spawn(self._read)

    @property
    def has_left(self) -> bool:
        return self.share.size == 0

    def _read(self) -> None:
        while self.sender.refusal is None:
            gevent.sleep(0.005)
        gevent.sleep(0.01)
        self.share.release(self.share.size)


@pytest.fixture
def space() -> TemporarySpace:
    return TemporarySpace(1000)


def share(space: TemporarySpace, sent: int) -> TemporaryShare:
    return space.share(Sender(sent))


class TestWhoLeaves:
    def test_nobody_while_there_is_room(self, space: TemporarySpace) -> None:
        report = Report(space, sent=1, takes=900)

        assert share(space, 100).reserve(100)
        assert report.sender.refusal is None

    def test_the_worst(self, space: TemporarySpace) -> None:
        best, worst, middle = (Report(space, sent=sent, takes=300) for sent in (100, 1, 10))

        assert share(space, 100).reserve(200)
        assert worst.has_left
        assert worst.sender.refusal is not None
        assert worst.sender.refusal.reason is Reason.TOO_LARGE
        assert not best.has_left
        assert not middle.has_left

    def test_not_the_largest(self, space: TemporarySpace) -> None:
        large, small = Report(space, sent=100, takes=700), Report(space, sent=10, takes=300)

        assert share(space, 1000).reserve(200)
        assert not large.has_left
        assert small.has_left

    def test_as_many_as_it_takes(self, space: TemporarySpace) -> None:
        reports = [Report(space, sent=sent, takes=250) for sent in (10, 1, 3, 2)]

        assert share(space, 1000).reserve(600)
        assert [report.has_left for report in reports] == [False, True, True, True]

    def test_as_many_as_all_who_ask_take(self, space: TemporarySpace) -> None:
        reports = [Report(space, sent=sent, takes=250) for sent in (10, 1, 3, 2)]
        asking = [gevent.spawn(share(space, 100).reserve, 120) for _ in range(4)]

        assert [each.get(timeout=5) for each in asking] == [True] * 4
        assert [report.has_left for report in reports] == [False, True, False, True]

    def test_not_one_that_is_no_worse(self, space: TemporarySpace) -> None:
        report = Report(space, sent=10, takes=1000)
        begun = time.monotonic()

        assert not share(space, 2).reserve(200)
        assert not share(space, 1).reserve(200)
        assert time.monotonic() - begun < 0.9
        assert report.sender.refusal is None

    def test_not_one_that_is_only_packed_better(self, space: TemporarySpace) -> None:
        report = Report(space, sent=100, takes=1000)

        assert not share(space, 200).reserve(200)
        assert report.sender.refusal is None

    def test_not_the_one_that_asks(self, space: TemporarySpace) -> None:
        report = Report(space, sent=1, takes=900)

        assert not report.share.reserve(200)
        assert report.sender.refusal is None

    def test_not_one_that_is_being_saved(self, space: TemporarySpace) -> None:
        report = Report(space, sent=1, takes=1000)
        report.sender.can_be_interrupted = False

        assert not share(space, 100).reserve(200)
        assert report.sender.refusal is None

    def test_what_a_client_has_sent_since_counts(self, space: TemporarySpace) -> None:
        first, second = Report(space, sent=1, takes=500), Report(space, sent=10, takes=500)
        first.sender.size = 100

        assert share(space, 100).reserve(200)
        assert not first.has_left
        assert second.has_left


class TestRoom:
    def test_is_released(self, space: TemporarySpace) -> None:
        report = Report(space, sent=1, takes=1000)
        asking = share(space, 100)
        assert asking.reserve(600)

        assert report.has_left
        assert not share(space, 1).reserve(500)
        asking.release(600)
        assert share(space, 1).reserve(1000)

    def test_is_not_waited_for_without_end(self, space: TemporarySpace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(antenna.payload.temporary_space, "_ROOM_TIMEOUT", 0.05)
        report = Report(space, sent=1, takes=1000)
        report.reading.kill()

        assert not share(space, 100).reserve(200)
        assert not share(space, 100).reserve(200)

    def test_that_others_take_meanwhile(self, space: TemporarySpace) -> None:
        reports = [Report(space, sent=sent, takes=500) for sent in (1, 10)]
        asking = gevent.spawn(share(space, 100).reserve, 200)
        while not reports[0].has_left:
            gevent.sleep(0.001)
        assert share(space, 1000).reserve(500)

        assert asking.get(timeout=1)
        assert [report.has_left for report in reports] == [True, True]


class TestReportThatHasToLeave:
    def test_takes_no_more(self, space: TemporarySpace) -> None:
        report = Report(space, sent=1, takes=900)
        asking = gevent.spawn(share(space, 100).reserve, 300)
        gevent.sleep(0)

        with pytest.raises(Refusal) as raised:
            report.share.reserve(10)
        assert raised.value.reason is Reason.TOO_LARGE
        assert asking.get(timeout=1)

    def test_while_it_waits_for_room_itself(self, space: TemporarySpace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(antenna.payload.temporary_space, "_FAR_ABOVE", 1)
        stuck, report = Report(space, sent=1, takes=600), Report(space, sent=10, takes=400)
        for each in (stuck, report):
            each.reading.kill()

        def wait_for_room() -> None:
            try:
                report.share.reserve(300)
            finally:
                report.share.release(400)

        waiting = gevent.spawn(wait_for_room)
        gevent.sleep(0.01)
        assert stuck.sender.refusal is not None
        asking = gevent.spawn(share(space, 100).reserve, 400)

        with pytest.raises(Refusal) as raised:
            waiting.get(timeout=2)
        assert raised.value.reason is Reason.TOO_LARGE
        assert asking.get(timeout=2)
