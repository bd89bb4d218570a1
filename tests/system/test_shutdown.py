# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""After SIGTERM no new crashes are taken. Those in flight are finished and answered, and the end comes soon."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.faulty import HANG, Fault
from tests.support.fixtures import StartServer
from tests.support.reports import annotation, dump, report
from tests.support.server import file_system_environment
from tests.system.conftest import Proxies, StartCollector, wait_for_exchange

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))


def test_a_crash_in_flight_is_finished_and_answered(start_collector: StartCollector, proxies: Proxies) -> None:
    collector = start_collector()
    proxies.reset()
    proxies.storage.fault = proxies.publish.fault = Fault(delay=0.5)

    with ThreadPoolExecutor() as clients:
        answer = clients.submit(collector.submit, REPORT)
        wait_for_exchange(proxies.storage)
        assert collector.server.stop() == 0
        crash = collector.assert_saved(answer.result())

    collector.assert_published(crash.crash_id)


def test_connections_are_served_a_little_longer_and_then_closed(start_local_collector: StartCollector) -> None:
    collector = start_local_collector()
    with ExitStack() as connections:
        used, idle, unused, half_sent = (connections.enter_context(collector.server.connect()) for _ in range(4))
        half_sent.send(REPORT[:-100])
        # These are accepted after that one, so it is in flight when they are answered.
        for connection in (used, idle):
            connection.send(REPORT)
            collector.assert_kept(connection.receive())
        start = time.monotonic()
        collector.server.terminate()

        # A client does not know yet that the collector stops, and sends another crash.
        time.sleep(0.3)
        used.send(REPORT)
        half_sent.send(REPORT[-100:])
        collector.assert_saved(used.receive())
        collector.assert_saved(half_sent.receive())

        for connection in (used, idle, unused, half_sent):
            assert connection.is_closed_by_server()
        assert collector.server.wait() == 0
        assert time.monotonic() - start < 4


def test_connections_that_wait_to_be_accepted_are_served(start_local_collector: StartCollector) -> None:
    collector = start_local_collector()
    (worker,) = psutil.Process(collector.server.pid).children()
    with ExitStack() as resources:
        # The kernel completes connections although the worker does not come to accept them.
        worker.suspend()
        connections = [resources.enter_context(collector.server.connect()) for _ in range(8)]
        for connection in connections:
            connection.send(REPORT)
        collector.server.terminate()
        time.sleep(0.2)
        worker.resume()

        for connection in connections:
            collector.assert_saved(connection.receive())
    assert collector.server.wait() == 0


def test_the_end_does_not_wait_for_a_backend_that_hangs(start_collector: StartCollector, proxies: Proxies) -> None:
    collector = start_collector(GUNICORN_GRACEFUL_TIMEOUT="1s")
    proxies.reset()
    proxies.storage.fault = HANG
    with collector.server.connect() as connection:
        connection.send(REPORT)
        wait_for_exchange(proxies.storage)

        start = time.monotonic()
        collector.server.stop()

        assert time.monotonic() - start < 4


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_worker_that_is_starting_serves_those_who_wait_and_ends(
    start_server: StartServer, tmp_path: Path, seconds: float
) -> None:
    server = start_server(file_system_environment(tmp_path), wait=False)
    server.wait_until(lambda: "Booting worker" in server.logs())
    with server.connect() as waiting:
        waiting.send(REPORT)
        time.sleep(seconds)
        server.terminate()

        assert waiting.receive().text.startswith("CrashID=bp-")
    # GUNICORN_GRACEFUL_TIMEOUT is 30 s.
    assert server.wait(15) == 0


def test_a_worker_that_is_starting_does_not_hold_up_a_quick_end(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(file_system_environment(tmp_path), wait=False)
    server.wait_until(lambda: "Booting worker" in server.logs())

    os.kill(server.pid, signal.SIGINT)

    assert server.wait(15) == 0
