# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reports take memory, wait for it and release it."""

import time
from contextlib import ExitStack

import gevent
import pytest

import antenna.payload.memory
from antenna.payload.memory import AnnotationMemory, AnnotationShare, Budget, Share
from antenna.refusal import Reason, Refusal

MIB = 1024 * 1024


def test_no_more_than_there_is() -> None:
    memory = Budget(10)

    assert memory.reserve(6)
    assert not memory.reserve(5)
    assert memory.reserve(4)
    memory.release(6)
    assert memory.reserve(6)


def test_share() -> None:
    memory = Budget(10)
    share = Share(memory, 7)

    assert share.reserve(5)
    assert not share.reserve(3)
    assert memory.reserve(5)
    share.release(5)
    assert share.reserve(5)
    assert not share.reserve(2), "others have the rest"


class TestWait:
    def test_not_if_there_is_room(self) -> None:
        assert Budget(10).wait(10, 0.0)

    def test_until_there_is_room(self) -> None:
        memory = Budget(10)
        assert memory.wait(6, 0.0)
        gevent.spawn_later(0.02, memory.release, 6)

        assert memory.wait(5, 2.0)
        assert not memory.reserve(6)

    def test_only_for_a_time(self) -> None:
        memory = Budget(10)
        assert memory.reserve(6)
        begun = time.monotonic()

        assert not memory.wait(5, 0.05)
        assert 0.05 <= time.monotonic() - begun < 1
        assert memory.reserve(4), "nothing is taken then"

    def test_first_come_first_served(self) -> None:
        memory = Budget(10)
        assert memory.reserve(10)
        served: list[int] = []

        def wait(size: int) -> None:
            assert memory.wait(size, 2.0)
            served.append(size)
            memory.release(size)

        waiting = [gevent.spawn(wait, size) for size in (10, 1, 2)]
        gevent.sleep(0.01)
        memory.release(5)
        gevent.sleep(0.01)
        assert served == [], "a small one does not overtake a large one"
        memory.release(5)
        gevent.joinall(waiting, raise_error=True)

        assert served == [10, 1, 2]

    def test_time_in_the_queue_counts(self) -> None:
        memory = Budget(10)
        assert memory.reserve(10)
        first = gevent.spawn(memory.wait, 1, 0.5)
        gevent.sleep(0)

        assert not memory.wait(1, 0.05)
        memory.release(10)
        assert first.get()


class TestAnnotations:
    """Reports with large annotations wait for memory, first for the bytes and then for the items of JSON."""

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(antenna.payload.memory, "MEMORY_TIMEOUT", 0.01)

    @pytest.mark.parametrize(
        ("held", "wanted", "is_there"),
        [
            pytest.param(("bytes", 3_000_000), ("bytes", 3_000_000), False, id="large ones, each other"),
            pytest.param(("bytes", 3_000_000), ("bytes", 60_000), True, id="small ones, nobody"),
            pytest.param(("bytes", 3_000_000), ("bytes", 500_000), True, id="others, not the largest"),
            pytest.param(("bytes", 3_000_000), ("items", 100_000), True, id="JSON, not for bytes"),
            pytest.param(("items", 100_000), ("bytes", 3_000_000), True, id="bytes, not for JSON"),
            pytest.param(("items", 100_000), ("items", 100_000), False, id="JSON, for other JSON"),
            pytest.param(("items", 100_000), ("items", 5_000), True, id="small JSON, nobody"),
        ],
    )
    def test_waits_for(self, held: tuple[str, int], wanted: tuple[str, int], is_there: bool) -> None:
        memory = AnnotationMemory(64 * MIB)
        with ExitStack() as first, ExitStack() as second:
            reserve(memory.share(first), *held)
            if is_there:
                reserve(memory.share(second), *wanted)
            else:
                with pytest.raises(Refusal) as raised:
                    reserve(memory.share(second), *wanted)
                assert raised.value.reason is Reason.UNAVAILABLE
        with ExitStack() as third:
            reserve(memory.share(third), *wanted)

    def test_more_than_there_ever_is_gets_all_of_it(self) -> None:
        memory = AnnotationMemory(MIB)
        for kind in ("bytes", "items"):
            with ExitStack() as resources:
                reserve(memory.share(resources), kind, 100_000_000)


def reserve(share: AnnotationShare, kind: str, count: int) -> None:
    (share.reserve_bytes if kind == "bytes" else share.reserve_items)(count)
