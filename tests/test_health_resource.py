# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Load balancers and operators learn whether the collector serves, and whether it can do its work."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import falcon
import gevent
import gevent.event
import pytest
from falcon.testing import Result, TestClient
from markus.testing import MetricsMock

from antenna.backend import BackendError, NoAnswer
from antenna.health_resource import (
    BrokenError,
    BrokenResource,
    Check,
    HealthCheck,
    HeartbeatResource,
    LBHeartbeatResource,
    ReadyResource,
    VersionResource,
)
from antenna.ops.instance import Instance


def get(resource: object, method: str = "GET") -> Result:
    app = falcon.App()
    app.add_route("/", resource)
    return TestClient(app).simulate_request(method, "/")


def heartbeat(checks: dict[str, Check], timeout: float = 5.0) -> HeartbeatResource:
    return HeartbeatResource([HealthCheck(name, check, timeout=timeout) for name, check in checks.items()])


def healthy() -> None:
    """Return without an error."""


def failing(error: BaseException) -> Check:
    def check() -> None:
        raise error

    return check


class HangingCheck:
    """A check of a backend that does not answer until a test allows it."""

    def __init__(self) -> None:
        self.runs = 0
        self._go = gevent.event.Event()

    def __call__(self) -> None:
        self.runs += 1
        self._go.wait(30)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def hanging() -> Iterator[HangingCheck]:
    check = HangingCheck()
    yield check
    check.let_go()


def assert_never_cached(answer: Result) -> None:
    assert answer.headers["Cache-Control"] == "no-store"


def test_version_is_that_of_the_build(metricsmock: MetricsMock) -> None:
    answer = get(VersionResource({"version": "2026.11.22", "extra": [1]}))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"version": "2026.11.22", "extra": [1]}
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.version.count")
    assert get(VersionResource({}), "HEAD").status_code == 200


@pytest.mark.parametrize(("could_keep", "status"), [(True, 200), (False, 503)])
def test_ready_while_a_crash_could_be_kept(metricsmock: MetricsMock, could_keep: bool, status: int) -> None:
    answer = get(ReadyResource(lambda: could_keep))

    assert answer.status_code == status
    assert answer.json == {"ready": could_keep}
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.ready.count")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_lbheartbeat_answers(metricsmock: MetricsMock, method: str) -> None:
    answer = get(LBHeartbeatResource(), method)

    assert answer.status_code == 200
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.lbheartbeat.count")


@pytest.mark.parametrize("checks", [{}, {"storage": healthy, "publish": healthy}])
def test_heartbeat_of_a_healthy_collector_has_no_errors(metricsmock: MetricsMock, checks: dict[str, Check]) -> None:
    answer = get(heartbeat(checks))

    assert answer.status_code == 200
    assert answer.json["errors"] == []
    assert list(answer.json["checks"]) == list(checks)
    for check in answer.json["checks"].values():
        assert (check["status"], check["level"]) == ("ok", 0)
        assert datetime.fromisoformat(check["since"]).tzinfo is not None
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.heartbeat.count")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoAnswer("no answer within 5 s"), "no answer within 5 s"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        # The message of somebody else's error may contain anything, so only its type is shown.
        (TimeoutError("hunter2"), "TimeoutError at test_health_resource.py:"),
        (gevent.Timeout(3), "Timeout at test_health_resource.py:"),
    ],
)
def test_heartbeat_names_the_check_that_failed_and_why(
    metricsmock: MetricsMock, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    if isinstance(error, BackendError):
        monkeypatch.setitem(globals(), "__name__", "antenna.ext.ours")

    answer = get(heartbeat({"storage": failing(error), "publish": healthy}))

    assert answer.status_code == 503
    (message,) = answer.json["errors"]
    assert message.startswith(f"storage: {reason}")
    assert "hunter2" not in answer.text
    storage = answer.json["checks"]["storage"]
    assert (storage["status"], storage["level"]) == ("error", 40)
    assert message == f"storage: {storage['message']}"
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.heartbeat.failed", tags=["check:storage"])


def test_warning_is_no_error() -> None:
    check = HealthCheck("set_aside", failing(ValueError("one entry")), is_warning=True)

    answer = get(HeartbeatResource([check]))

    assert answer.status_code == 200
    assert answer.json["errors"] == []
    set_aside = answer.json["checks"]["set_aside"]
    assert (set_aside["status"], set_aside["level"]) == ("warning", 30)


def test_heartbeat_reports_all_that_fail() -> None:
    checks = {name: failing(OSError(5, os.strerror(5))) for name in ("storage", "publish", "spool")}

    assert get(heartbeat(checks)).json["errors"] == [
        f"{name}: [Errno 5] Input/output error" for name in ("storage", "publish", "spool")
    ]


def test_change_of_a_check_is_logged_once_for_all_workers(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []

    def check() -> None:
        if errors:
            raise errors[0]

    instance = Instance(workers=1)
    workers = [HeartbeatResource([HealthCheck("storage", check)], instance) for _ in range(3)]
    since = set()
    for state in ([], [OSError(5, os.strerror(5))], []):
        errors[:] = state
        for worker in workers:
            since.add(get(worker).json["checks"]["storage"]["since"])

    assert caplog.messages == [
        "heartbeat: storage: [Errno 5] Input/output error",
        "heartbeat: storage: all is well again",
    ]
    assert len(since) <= 3


def test_check_that_hangs_fails_at_its_time_limit_and_holds_up_no_other(hanging: HangingCheck) -> None:
    resource = heartbeat(
        {"storage": hanging, "publish": hanging, "spool": failing(OSError(28, os.strerror(28)))}, timeout=0.5
    )
    started = time.monotonic()

    answer = get(resource)

    assert time.monotonic() - started < 0.9
    assert answer.status_code == 503
    assert answer.json["errors"] == [
        "storage: no answer within 0.5 s",
        "publish: no answer within 0.5 s",
        "spool: [Errno 28] No space left on device",
    ]


def test_check_that_hangs_is_not_started_again_and_answers_at_once(hanging: HangingCheck) -> None:
    resource = heartbeat({"storage": hanging}, timeout=0.5)
    get(resource)
    started = time.monotonic()

    answers = [get(resource) for _ in range(5)]

    assert time.monotonic() - started < 2
    assert all(answer.json["errors"] == ["storage: no answer within 0.5 s"] for answer in answers)
    assert hanging.runs == 1


def test_check_that_hung_is_healthy_again_once_its_backend_is(hanging: HangingCheck) -> None:
    resource = heartbeat({"storage": hanging}, timeout=0.1)
    get(resource)
    hanging.let_go()

    wait_for(lambda: get(resource).status_code == 200)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_under_gevent_checks_run_side_by_side_and_others_are_served_meanwhile() -> None:
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import time, gevent
from tests.test_health_resource import get, heartbeat

resource = heartbeat({name: lambda: time.sleep(0.4) for name in ("storage", "publish", "spool")})
turns = []
ticker = gevent.spawn(lambda: [turns.append(time.sleep(0.01)) for _ in range(1000)])
started = time.monotonic()
assert get(resource).json["errors"] == []
assert time.monotonic() - started < 1.15
assert len(turns) > 10, turns
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent.parent)


def test_broken_raises(metricsmock: MetricsMock) -> None:
    errors: list[Exception] = []
    app = falcon.App()
    app.add_error_handler(Exception, lambda _req, _resp, error, _params: errors.append(error))
    app.add_route("/__broken__", BrokenResource())

    TestClient(app).simulate_get("/__broken__")

    assert [type(error) for error in errors] == [BrokenError]
    metricsmock.assert_incr_once("health.broken.count")
