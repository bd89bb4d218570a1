# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Load balancers and operators learn whether the collector serves and whether it can do its work."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import falcon
import gevent
import pytest
from falcon.testing import Result, TestClient
from markus.testing import MetricsMock

from antenna.health_resource import (
    BrokenError,
    BrokenResource,
    Check,
    HeartbeatResource,
    LBHeartbeatResource,
    VersionResource,
)


def get(resource: object, method: str = "GET") -> Result:
    app = falcon.App()
    app.add_route("/", resource)
    return TestClient(app).simulate_request(method, "/")


def healthy() -> None:
    """Find nothing wrong."""


def failing(error: BaseException) -> Check:
    def check() -> None:
        raise error

    return check


class HangingCheck:
    """A check of a backend that does not answer until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self._go = threading.Event()

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


def test_version_is_the_contents_of_version_json(tmp_path: Path, metricsmock: MetricsMock) -> None:
    (tmp_path / "version.json").write_text('{"version": "2026.11.22", "extra": [1]}')

    answer = get(VersionResource(tmp_path))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"version": "2026.11.22", "extra": [1]}
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.version.count")


def test_version_without_version_json_is_empty(tmp_path: Path) -> None:
    assert get(VersionResource(tmp_path)).json == {}
    assert get(VersionResource(tmp_path), "HEAD").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_lbheartbeat_answers(metricsmock: MetricsMock, method: str) -> None:
    answer = get(LBHeartbeatResource(), method)

    assert answer.status_code == 200
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.lbheartbeat.count")


@pytest.mark.parametrize("checks", [{}, {"storage": healthy, "publish": healthy}])
def test_heartbeat_of_a_healthy_collector_has_no_errors(metricsmock: MetricsMock, checks: dict[str, Check]) -> None:
    answer = get(HeartbeatResource(checks))

    assert answer.status_code == 200
    assert answer.json == {"errors": []}
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.heartbeat.count")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("no such bucket: crashes"), "no such bucket: crashes"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (TimeoutError("too slow"), "too slow"),
        (ValueError(), "ValueError"),
        (gevent.Timeout(3), "3 seconds"),
    ],
)
def test_heartbeat_names_the_check_that_failed_and_why(
    metricsmock: MetricsMock, error: BaseException, reason: str
) -> None:
    answer = get(HeartbeatResource({"storage": failing(error), "publish": healthy}))

    assert answer.status_code == 503
    assert answer.json == {"errors": [f"storage: {reason}"]}
    assert_never_cached(answer)
    metricsmock.assert_incr_once("health.heartbeat.failed", tags=["check:storage"])


def test_heartbeat_reports_all_that_fail() -> None:
    checks = {name: failing(ValueError("away")) for name in ("storage", "publish", "spool")}

    assert get(HeartbeatResource(checks)).json == {"errors": ["storage: away", "publish: away", "spool: away"]}


def test_failures_are_logged_when_they_change(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []

    def check() -> None:
        if errors:
            raise errors[0]

    resource = HeartbeatResource({"storage": check})
    for state in ([], [ValueError("away")], [ValueError("denied")], []):
        errors[:] = state
        for _ in range(3):
            get(resource)

    assert caplog.messages == [
        "heartbeat: storage: away",
        "heartbeat: all is well again",
    ]


def test_check_that_hangs_fails_at_its_time_limit_and_holds_up_no_other(hanging: HangingCheck) -> None:
    resource = HeartbeatResource(
        {"storage": hanging, "publish": hanging, "spool": failing(ValueError("full"))}, timeout=0.5
    )
    started = time.monotonic()

    answer = get(resource)

    assert time.monotonic() - started < 0.9
    assert answer.status_code == 503
    assert answer.json == {
        "errors": ["storage: no answer within 0.5 s", "publish: no answer within 0.5 s", "spool: full"]
    }


def test_check_that_hangs_is_not_started_again_and_answers_at_once(hanging: HangingCheck) -> None:
    resource = HeartbeatResource({"storage": hanging}, timeout=0.5)
    get(resource)
    started = time.monotonic()

    answers = [get(resource) for _ in range(5)]

    assert time.monotonic() - started < 0.5
    assert all(answer.json == {"errors": ["storage: no answer within 0.5 s"]} for answer in answers)
    assert hanging.runs == 1


def test_check_that_hung_is_healthy_again_once_its_backend_is(hanging: HangingCheck) -> None:
    resource = HeartbeatResource({"storage": hanging}, timeout=0.1)
    get(resource)
    hanging.let_go()

    wait_for(lambda: get(resource).status_code == 200)

    assert hanging.runs > 1


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_under_gevent_checks_run_side_by_side_and_others_are_served_meanwhile() -> None:
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import time, gevent
from tests.test_health_resource import get
from antenna.health_resource import HeartbeatResource

resource = HeartbeatResource({name: lambda: time.sleep(0.3) for name in ("storage", "publish", "spool")})
turns = []
ticker = gevent.spawn(lambda: [turns.append(time.sleep(0.01)) for _ in range(1000)])
started = time.monotonic()
assert get(resource).json == {"errors": []}
assert time.monotonic() - started < 0.5
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
