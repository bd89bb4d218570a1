# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Disk work does not stop the hub, and comes back as if it had been called directly."""

import threading
import time
from collections.abc import Iterator

import gevent
import pytest

from antenna.blocking import iterate_blocking, run_blocking


def test_returns_what_the_function_returns() -> None:
    assert run_blocking(divmod, 7, 2) == (3, 1)
    assert run_blocking(int, "11", base=2) == 3
    assert run_blocking(list) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), SystemExit(3)])
def test_raises_what_the_function_raises(error: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run_blocking(fail)

    assert raised.value is error
    assert "fail" in [entry.name for entry in raised.traceback], "where it happened is known"
    # Handled, so it is no news: gevent would print it.
    assert capfd.readouterr() == ("", "")


def test_function_runs_in_another_native_thread() -> None:
    assert run_blocking(threading.get_ident) != threading.get_ident()


def test_other_greenlets_go_on_meanwhile() -> None:
    turns: list[float] = []

    def take_turns() -> None:
        while True:
            turns.append(time.monotonic())
            gevent.sleep(0.01)

    greenlet = gevent.spawn(take_turns)
    run_blocking(time.sleep, 0.2)
    greenlet.kill()

    assert len(turns) > 5


def test_several_run_at_the_same_time() -> None:
    started = time.monotonic()

    gevent.joinall([gevent.spawn(run_blocking, time.sleep, 0.2) for _ in range(5)])

    assert time.monotonic() - started < 0.8


def squares() -> Iterator[bytes]:
    for number in range(4):
        yield bytes([number * number])


def test_iterates_in_order() -> None:
    assert list(iterate_blocking(squares())) == [b"\x00", b"\x01", b"\x04", b"\x09"]
    assert list(iterate_blocking(iter(()))) == []


def test_iterating_ends_with_the_error_of_an_item() -> None:
    def items() -> Iterator[bytes]:
        yield b"first"
        raise OSError(5, "Input/output error")

    iterator = iterate_blocking(items())

    assert next(iterator) == b"first"
    with pytest.raises(OSError, match="Input/output error"):
        next(iterator)
