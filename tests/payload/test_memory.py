# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Memory is taken, waited for and given back."""

import time

import gevent

from antenna.payload.memory import Memory, Share


def test_no_more_than_there_is() -> None:
    memory = Memory(10)

    assert memory.reserve(6)
    assert not memory.reserve(5)
    assert memory.reserve(4)
    memory.release(6)
    assert memory.reserve(6)


def test_share() -> None:
    memory = Memory(10)
    share = Share(memory, 7)

    assert share.reserve(5)
    assert not share.reserve(3)
    assert memory.reserve(5)
    share.release(5)
    assert share.reserve(5)
    assert not share.reserve(2), "others have the rest"


class TestWait:
    def test_not_if_there_is_room(self) -> None:
        assert Memory(10).wait(10, 0.0)

    def test_until_there_is_room(self) -> None:
        memory = Memory(10)
        assert memory.wait(6, 0.0)
        gevent.spawn_later(0.02, memory.release, 6)

        assert memory.wait(5, 2.0)
        assert not memory.reserve(6)

    def test_only_for_a_time(self) -> None:
        memory = Memory(10)
        assert memory.reserve(6)
        begun = time.monotonic()

        assert not memory.wait(5, 0.05)
        assert 0.05 <= time.monotonic() - begun < 1
        assert memory.reserve(4), "nothing is taken then"

    def test_first_come_first_served(self) -> None:
        memory = Memory(10)
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
        memory = Memory(10)
        assert memory.reserve(10)
        first = gevent.spawn(memory.wait, 1, 0.5)
        gevent.sleep(0)

        assert not memory.wait(1, 0.05)
        memory.release(10)
        assert first.get()

    def test_after_more_was_charged_than_there_is(self) -> None:
        memory = Memory(10)
        memory.charge(15)

        assert not memory.wait(1, 0.01)
        memory.release(15)
        assert memory.wait(10, 0.0)
