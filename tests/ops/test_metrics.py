# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""All metrics are in one registry, and sending them never delays a crash or makes it fail."""

import ast
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import markus
import pytest
from markus.filters import MetricsUnknownKey, MetricsWrongType

from antenna.config import AppConfig, build_config
from antenna.ops.metrics import set_up_metrics
from antenna.ops.registry import load_registry
from tests.support.registered_metrics import RegisteredMetricsMock

PACKAGE = Path(__file__).parents[2] / "antenna"

# The metrics that dashboards and alerts of existing deployments use.
CONTRACT = {
    "breakpad_resource.incoming_crash": "incr",
    "breakpad_resource.malformed": "incr",
    "breakpad_resource.crash_size": "histogram",
    "breakpad_resource.gzipped_crash": "incr",
    "breakpad_resource.gzipped_crash_decompress": "timing",
    "breakpad_resource.on_post.time": "timing",
    "breakpad_resource.unauthorized_uuid": "incr",
    "breakpad_resource.throttle_rule": "incr",
    "breakpad_resource.save_crash.count": "incr",
    "breakpad_resource.crash_save.time": "timing",
    "breakpad_resource.crash_handling.time": "timing",
    "breakpad_resource.save_queue_size": "gauge",
    "throttle.accept": "incr",
    "throttle.defer": "incr",
    "throttle.reject": "incr",
    "throttle.fakeaccept": "incr",
    "crashmover.crash_publish.time": "timing",
    "crashmover.retry_count": "incr",
    "sentry_scrub_error": "incr",
}


@pytest.fixture(autouse=True)
def metricsmock() -> Iterator[None]:
    """No mock: these tests look at the real backends."""
    yield
    markus.configure([])


DROPPED = "metrics_dropped:"


class StatsdServer:
    """Listens as a statsd daemon does."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(5)
        self.port: int = self.socket.getsockname()[1]

    @property
    def environ(self) -> dict[str, str]:
        return {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(self.port), "HOSTNAME": "antenna-7"}

    def receive(self, count: int = 1) -> list[str]:
        """Wait for ``count`` metrics. Threads of earlier tests, whose statsd has gone, may tell of dropped ones."""
        lines: list[str] = []
        while len(lines) < count:
            lines += [line for line in self.receive_packet() if not line.startswith(DROPPED)]
        return lines

    def receive_packet(self) -> list[str]:
        """Wait for a packet, and return its metrics."""
        return self.socket.recv(65536).decode().splitlines()


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdServer]:
    monkeypatch.setattr("antenna.ops.statsd._INTERVAL", 0.02)
    server = StatsdServer()
    with server.socket:
        yield server


def set_up(**environ: str) -> None:
    set_up_metrics(AppConfig(build_config(environ)))


def test_metrics_of_the_contract_are_registered_with_their_types() -> None:
    registry = load_registry()

    assert {name: registry[name]["type"] for name in CONTRACT} == CONTRACT


def test_every_registered_metric_says_what_it_means() -> None:
    for metric in load_registry().values():
        assert metric.keys() <= {"type", "description", "tags", "unit"}
        assert metric["description"]
        assert all(metric.get("tags", {"": "some"}).values())


def emitted_in(module: Path) -> Iterator[tuple[str, str]]:
    """Names and types of the metrics that a module emits under a literal name."""
    text = module.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text))) if "get_metrics" in text else []
    prefixes = {}
    for node in nodes:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=variable)],
                value=ast.Call(func=ast.Attribute(attr="get_metrics"), args=[ast.Constant(value=str(prefix))]),
            ):
                prefixes[variable] = f"{prefix}." if prefix else ""
    for node in nodes:
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=variable), attr=method), args=[ast.Constant(value=str(name)), *_]
            ) if variable in prefixes:
                yield prefixes[variable] + name, "timing" if method == "timer" else method


def test_metrics_that_the_code_emits_are_registered() -> None:
    registry = load_registry()
    emitted = [metric for module in PACKAGE.rglob("*.py") for metric in emitted_in(module)]

    assert len(emitted) > 50
    assert [(name, kind) for name, kind in emitted if registry.get(name, {}).get("type") != kind] == []


def test_metrics_reach_statsd_with_namespace_tags_and_host(statsd: StatsdServer) -> None:
    set_up(STATSD_NAMESPACE="antenna.prod", **statsd.environ)
    metrics = markus.get_metrics("breakpad_resource")

    metrics.incr("malformed", tags=["reason:bad_gzip"])
    metrics.gauge("save_queue_size", 3)
    metrics.timing("on_post.time", 12.5)
    metrics.histogram("crash_size", 1000, tags=["payload:compressed"])

    assert statsd.receive(4) == [
        "antenna.prod.breakpad_resource.malformed:1|c|#reason:bad_gzip,host:antenna-7",
        "antenna.prod.breakpad_resource.save_queue_size:3|g|#host:antenna-7",
        "antenna.prod.breakpad_resource.on_post.time:12.5|ms|#host:antenna-7",
        "antenna.prod.breakpad_resource.crash_size:1000|h|#payload:compressed,host:antenna-7",
    ]


def test_local_environment_emits_to_the_log_and_to_statsd_at_once(
    statsd: StatsdServer, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(LOCAL_DEV_ENV="true", **statsd.environ)

    with caplog.at_level(logging.INFO, "markus"):
        markus.get_metrics("throttle").incr("accept")

    assert "METRICS|incr|throttle.accept|1|#host:antenna-7" in caplog.messages
    assert statsd.receive() == ["throttle.accept:1|c|#host:antenna-7"]


def test_local_environment_logs_a_gauge_when_it_changes(statsd: StatsdServer, caplog: pytest.LogCaptureFixture) -> None:
    set_up(LOCAL_DEV_ENV="true", **statsd.environ)

    with caplog.at_level(logging.INFO, "markus"):
        for value in (0, 0, 1, 1, 0):
            markus.get_metrics("crashmover").gauge("spool_size", value)

    assert caplog.messages == [f"METRICS|gauge|crashmover.spool_size|{value}|#host:antenna-7" for value in (0, 1, 0)]
    assert statsd.receive(5) == [f"crashmover.spool_size:{value}|g|#host:antenna-7" for value in (0, 0, 1, 1, 0)]


def test_without_a_host_and_in_production_metrics_go_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    set_up()

    markus.get_metrics("throttle").incr("accept")

    assert caplog.messages == []


def test_unregistered_metric_is_an_error_in_tests() -> None:
    with RegisteredMetricsMock() as mock:
        metrics = markus.get_metrics("throttle")
        with pytest.raises(MetricsUnknownKey):
            metrics.incr("no_such_metric")
        with pytest.raises(MetricsWrongType):
            metrics.gauge("accept", 1)

    assert len(mock.errors) == 2


@pytest.mark.parametrize("local", ["true", "false"])
def test_unregistered_metric_is_dropped_and_logged_once_and_costs_no_crash(
    local: str, statsd: StatsdServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    set_up(LOCAL_DEV_ENV=local, **statsd.environ)
    metrics = markus.get_metrics("throttle")

    for _ in range(3):
        metrics.incr("no_such_metric")
        metrics.gauge("accept", 1)
    metrics.incr("accept")

    assert statsd.receive() == ["throttle.accept:1|c|#host:antenna-7"]
    assert caplog.messages == [
        "metric throttle.no_such_metric (incr) is not registered and was dropped",
        "metric throttle.accept (gauge) is not registered and was dropped",
    ]


def emit_many() -> float:
    """Emit more metrics than fit into a packet, and as many as may wait. Return how long that took, in seconds."""
    metrics = markus.get_metrics("throttle")
    started = time.monotonic()
    for _ in range(20_000):
        metrics.incr("accept")
    return time.monotonic() - started


@pytest.mark.parametrize("host", ["statsd.invalid", "statsd..x", "127.0.0.1"])
def test_absent_statsd_neither_delays_nor_fails_and_is_logged_once(host: str, caplog: pytest.LogCaptureFixture) -> None:
    # Port 9 is that of the discard protocol, and no program listens on it.
    set_up(STATSD_HOST=host, STATSD_PORT="9")

    assert emit_many() < 2

    def messages() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "antenna.ops.statsd"]

    deadline = time.monotonic() + 10
    while not messages() and time.monotonic() < deadline:
        time.sleep(0.01)
    (message,) = messages()
    assert message.startswith(f"metrics are lost: cannot send them to statsd at {host}:9: ")


def test_packets_fit_into_a_frame(statsd: StatsdServer) -> None:
    set_up(**statsd.environ)
    for _ in range(1000):
        markus.get_metrics("throttle").incr("accept")
    sizes = []
    lines = 0
    while lines < 1000:
        packet = statsd.socket.recv(65536)
        sizes.append(len(packet))
        lines += len(packet.splitlines())

    assert 1000 < max(sizes) <= 1432


def test_what_waits_is_bounded(statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, found = threading.Event(), threading.Event()

    def resolve_slowly(*_args: Any, **_options: Any) -> Any:
        asked.set()
        found.wait(30)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("127.0.0.1", statsd.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    monkeypatch.setattr("antenna.ops.statsd.MAX_WAITING", 30)
    set_up(**statsd.environ | {"STATSD_HOST": "statsd.example.com"})
    markus.get_metrics("throttle").incr("accept")
    assert asked.wait(10)  # that metric is on its way when the others come
    for _ in range(100):
        markus.get_metrics("throttle").incr("defer")
    found.set()

    received, dropped = Counter[str](), 0
    while dropped < 70 or received["throttle.defer:1|c|#host:antenna-7"] < 30:
        for line in statsd.receive_packet():
            received[line] += 1
            if line.startswith(DROPPED):
                dropped += int(line.split(":")[1].split("|")[0])
    assert received["throttle.defer:1|c|#host:antenna-7"] == 30


def test_address_of_version_4_goes_first(statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet to the IPv6 address may be lost without an error."""
    addresses = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 0, "", ("::1", statsd.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("127.0.0.1", statsd.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: addresses)
    set_up(**statsd.environ | {"STATSD_HOST": "statsd.example.com"})
    markus.get_metrics("throttle").incr("accept")

    assert statsd.receive() == ["throttle.accept:1|c|#host:antenna-7"]


def test_statsd_that_comes_back_hears_how_many_were_dropped(
    statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of those that were sent before its host first refused a packet."""
    monkeypatch.setattr("antenna.ops.statsd._PAUSE", 0.1)
    received: Counter[str] = Counter()

    def emit() -> None:
        for _ in range(100):
            markus.get_metrics("throttle").incr("accept")
        time.sleep(0.5)

    statsd.socket.close()
    set_up(**statsd.environ)
    emit()
    again = StatsdServer(statsd.port)
    with again.socket:
        emit()
        while received.total() < 200:
            for line in again.receive_packet():
                name, _, rest = line.partition(":")
                received[name] += int(rest.partition("|")[0])

    assert received.total() == 200
    assert received["metrics_dropped"] >= 100


def test_statsd_that_moves_is_followed(statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets to the old address may be lost without an error."""
    monkeypatch.setattr("antenna.ops.statsd._LOOK_UP_AGAIN", 0.1)
    moved = StatsdServer()
    ports = [statsd.port]

    def resolve(*_args: Any, **_options: Any) -> Any:
        if not ports:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("127.0.0.1", ports[-1]))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    set_up(**statsd.environ | {"STATSD_HOST": "statsd.example.com"})

    def arrives_at(server: StatsdServer) -> bool:
        markus.get_metrics("throttle").incr("accept")
        received = server.receive()
        time.sleep(0.15)  # then it is time to look the name up again
        return received == ["throttle.accept:1|c|#host:antenna-7"]

    with moved.socket:
        assert arrives_at(statsd)
        ports.clear()  # the name server is away
        assert arrives_at(statsd)
        ports.append(moved.port)
        assert arrives_at(moved)


def test_name_that_takes_long_to_resolve_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def resolve_slowly(*_args: Any, **_options: Any) -> Any:
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    set_up(STATSD_HOST="statsd.example.com")

    assert emit_many() < 2
    answered.set()


EMIT_AND_EXIT = """
import os, sys, markus
from antenna.config import AppConfig, build_config
from antenna.ops.metrics import set_up_metrics

set_up_metrics(AppConfig(build_config()))
for _ in range(1000):
    markus.get_metrics("throttle").incr("accept")
sys.exit()
"""


@pytest.mark.parametrize(
    "prologue",
    ["import gevent.monkey; gevent.monkey.patch_all()\n", "import os; os.fork() and (os.wait(), os._exit(0))\n"],
    ids=["under gevent", "in a forked worker"],
)
def test_nothing_is_lost_when_the_process_ends(statsd: StatsdServer, prologue: str) -> None:
    subprocess.run([sys.executable, "-c", prologue + EMIT_AND_EXIT], check=True, env=os.environ | statsd.environ)

    assert statsd.receive(1000) == ["throttle.accept:1|c|#host:antenna-7"] * 1000


def test_process_ends_soon_while_statsd_is_absent() -> None:
    environ = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": "9"}
    started = time.monotonic()

    subprocess.run([sys.executable, "-c", EMIT_AND_EXIT], check=True, env=os.environ | environ)

    assert time.monotonic() - started < 5
