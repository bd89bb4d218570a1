# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""ADMIN_PORT answers health checks, whatever clients do to the public port."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import requests

from tests.support.collector import Collector
from tests.support.programs import children_of, free_port
from tests.support.reports import annotation, dump, report
from tests.system.conftest import StartCollector, running_on_files

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))
ACCEPTED = 'antenna_requests_total{outcome="accepted"}'
NOT_FOUND = 'antenna_requests_total{outcome="not_found"}'
KILLED = 'antenna_instance_workers_ended_total{cause="killed"}'
HEALTH = ["/__lbheartbeat__", "/__heartbeat__", "/__version__"]


@dataclass(frozen=True)
class Admin:
    """The admin port of a collector."""

    collector: Collector
    port: int

    def get(self, path: str = "/__lbheartbeat__", *, port: int | None = None, timeout: float = 5.0) -> int:
        """Return the status of the answer. If there is no answer in time, return 0."""
        try:
            return requests.get(f"http://127.0.0.1:{port or self.port}{path}", timeout=timeout).status_code
        except requests.RequestException:
            return 0

    def metric(self, sample: str) -> float:
        """Return what Prometheus gets for a name with its labels; 0 if nothing."""
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        values = [line.removeprefix(sample) for line in text.splitlines() if line.startswith(f"{sample} ")]
        return float(values[0]) if values else 0

    @property
    def workers(self) -> set[int]:
        return set(children_of(self.collector.server.pid))


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin port of a collector with two workers, which tests share."""
    port = free_port()
    options = {"ADMIN_PORT": str(port), "GUNICORN_WORKERS": "2"}
    with running_on_files(tmp_path_factory.mktemp("admin"), options) as collector:
        collector.server.wait_until(lambda: len(children_of(collector.server.pid)) == 2)
        yield Admin(collector, port)


def test_answers_what_the_public_port_answers(admin: Admin) -> None:
    for path in HEALTH:
        assert admin.get(path) == admin.get(path, port=admin.collector.server.port) == 200, path


def test_takes_no_crashes(admin: Admin) -> None:
    before = admin.metric(NOT_FOUND)
    assert requests.post(f"http://127.0.0.1:{admin.port}/submit", data=b"", timeout=5).status_code == 404
    admin.collector.assert_kept(admin.collector.submit(REPORT))

    wait_until(lambda: admin.metric(NOT_FOUND) == before + 1)
    assert admin.get("/metrics", port=admin.collector.server.port) == 404


def test_metrics_are_of_all_workers_those_that_were_killed_too(admin: Admin) -> None:
    kept, killed = admin.metric(ACCEPTED), admin.metric(KILLED)
    for _ in range(10):
        admin.collector.assert_kept(admin.collector.submit(REPORT))
    assert {admin.metric(ACCEPTED) for _ in range(6)} == {kept + 10}
    before = admin.workers
    for worker in before:
        os.kill(worker, signal.SIGKILL)

    wait_until(lambda: len(admin.workers - before) == 2)
    wait_until(lambda: admin.get() == 200)
    admin.collector.assert_kept(admin.collector.submit(REPORT))
    assert {admin.metric(ACCEPTED) for _ in range(6)} == {kept + 11}
    wait_until(lambda: admin.metric(KILLED) >= killed + 2)
    assert admin.metric(KILLED) == killed + 2


def test_survives_a_reload(admin: Admin) -> None:
    before = admin.workers
    os.kill(admin.collector.server.pid, signal.SIGHUP)

    wait_until(lambda: bool(admin.workers) and not admin.workers & before)
    wait_until(lambda: admin.get() == 200)


# The last test of the shared collector, since it ends its master.
def test_is_handed_to_the_server_that_replaces_this_one(admin: Admin) -> None:
    kept = admin.metric(ACCEPTED)
    before = admin.workers
    os.kill(admin.collector.server.pid, signal.SIGUSR2)
    wait_until(lambda: any(children_of(pid) for pid in admin.workers - before))
    admin.collector.submit(REPORT)
    wait_until(lambda: admin.metric(ACCEPTED) == kept + 1)
    assert {admin.metric(ACCEPTED) for _ in range(8)} == {kept + 1}, "workers of both have one account"
    admin.collector.server.stop()

    wait_until(lambda: admin.get() == 200)
    assert admin.metric(ACCEPTED) == kept + 1


def test_answers_while_every_connection_is_taken(start_local_collector: StartCollector) -> None:
    port = free_port()
    admin = Admin(start_local_collector(ADMIN_PORT=str(port), GUNICORN_WORKER_CONNECTIONS="5"), port)
    public = admin.collector.server.port
    with ExitStack() as connections:
        for _ in range(5):
            connections.enter_context(admin.collector.server.connect()).send(REPORT[:-10])
        wait_until(lambda: not admin.get(port=public, timeout=0.5))

        for _ in range(10):
            for path in HEALTH:
                assert admin.get(path) == 200
        assert admin.get(port=public, timeout=0.5) == 0

    wait_until(lambda: admin.get(port=public) == 200)
