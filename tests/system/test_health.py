# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Load balancers and operators get true answers in time, also while the backends hang."""

import json
import logging
import time

import pytest
import requests

from tests.support.collector import Collector
from tests.support.faulty import HANG, PASS, REFUSE, Fault, FaultyProxy
from tests.support.reports import annotation, dump, report
from tests.system.conftest import VERSION, Proxies

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))


def get(collector: Collector, path: str) -> requests.Response:
    return requests.get(f"{collector.server.url}{path}", timeout=10)


def heartbeat_errors(collector: Collector) -> list[str]:
    """Return the errors of the heartbeat, and check that its status fits them."""
    answer = get(collector, "/__heartbeat__")
    errors: list[str] = answer.json()["errors"]
    checks = answer.json()["checks"]
    assert {"storage", "publish", "temporary_files"} <= checks.keys()
    red = [f"{name}: {check['message']}" for name, check in checks.items() if check["level"] == logging.ERROR]
    assert errors == red
    assert answer.status_code == (503 if errors else 200)
    return errors


def test_all_is_well(collector: Collector) -> None:
    assert get(collector, "/__lbheartbeat__").status_code == 200
    assert heartbeat_errors(collector) == []


@pytest.mark.parametrize("backend", ["storage", "publish"])
def test_heartbeat_names_what_is_wrong(collector: Collector, proxies: Proxies, backend: str) -> None:
    proxy: FaultyProxy = getattr(proxies, backend)
    faults = [REFUSE, Fault(status=403), Fault(status=503)]
    if backend == "publish":
        faults.append(HANG)  # the time limit of the storage's check is several seconds

    for fault in faults:
        proxy.fault = fault
        (error,) = heartbeat_errors(collector)
        assert error.startswith(f"{backend}: ")
        proxy.fault = PASS
        assert heartbeat_errors(collector) == []


def test_load_balancer_is_answered_at_once_while_everything_hangs(collector: Collector, proxies: Proxies) -> None:
    proxies.storage.fault = proxies.publish.fault = HANG
    connections = [collector.server.connect() for _ in range(20)]
    try:
        for connection in connections:
            connection.send(REPORT)
        time.sleep(0.2)

        seconds = []
        for _ in range(10):
            start = time.monotonic()
            assert get(collector, "/__lbheartbeat__").status_code == 200
            seconds.append(time.monotonic() - start)

        assert sorted(seconds)[len(seconds) // 2] < 0.05
    finally:
        for connection in connections:
            connection.close()


def test_version(mozilla_collector: Collector) -> None:
    answer = get(mozilla_collector, "/__version__")

    assert answer.status_code == 200
    assert answer.json() == VERSION


def test_broken_raises_and_serves_on(collector: Collector) -> None:
    answer = get(collector, "/__broken__")

    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    records = [line for line in collector.server.logs().splitlines() if "BrokenError" in line]
    assert len(records) == 1
    assert "traceback" in json.loads(records[0])["Fields"]
    collector.assert_kept(collector.submit(REPORT))
