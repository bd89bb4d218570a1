# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Dashboards of Mozilla's Antenna go on working.

Each metric is sent once under its old name, with its old type and tags.
"""

import socket
from collections.abc import Iterator

import markus
import pytest

from antenna.config import AppConfig, build_config
from antenna.ops.metrics import set_up_metrics
from antenna.ops.mozilla import MozillaNames
from antenna.ops.registry import load_registry

# The metrics of its statsd_metrics.yaml and those of gunicorn's own statsd client, in the notation of statsd.
THEIRS = {
    "socorro.sentry_scrub_error": "c",
    "socorro.collector.breakpad_resource.crash_size": "h",
    "socorro.collector.breakpad_resource.gzipped_crash": "c",
    "socorro.collector.breakpad_resource.gzipped_crash_decompress": "h",
    "socorro.collector.breakpad_resource.incoming_crash": "c",
    "socorro.collector.breakpad_resource.malformed": "c",
    "socorro.collector.breakpad_resource.on_post.time": "ms",
    "socorro.collector.breakpad_resource.throttle": "c",
    "socorro.collector.breakpad_resource.throttle_rule": "c",
    "socorro.collector.breakpad_resource.unauthorized_uuid": "c",
    "socorro.collector.crashmover.crash_handling.time": "ms",
    "socorro.collector.crashmover.crash_publish.time": "ms",
    "socorro.collector.crashmover.crash_save.time": "ms",
    "socorro.collector.crashmover.publish_crash_dropped.count": "c",
    "socorro.collector.crashmover.retry_count": "c",
    "socorro.collector.crashmover.save_crash.count": "c",
    "socorro.collector.crashmover.save_crash_dropped.count": "c",
    "socorro.collector.gunicorn.log.error": "c",
    "socorro.collector.gunicorn.request.duration": "ms",
    "socorro.collector.gunicorn.request.status.200": "c",
    "socorro.collector.gunicorn.requests": "c",
    "socorro.collector.gunicorn.workers": "g",
    "socorro.collector.health.broken.count": "c",
    "socorro.collector.health.heartbeat.count": "c",
    "socorro.collector.health.lbheartbeat.count": "c",
    "socorro.collector.health.version.count": "c",
}


# The value of the last metric that is sent.
LAST = 123456


@pytest.fixture(autouse=True)
def metricsmock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No mock: these tests look at the metrics that are sent."""
    monkeypatch.setattr("antenna.ops.statsd._INTERVAL", 0.02)
    yield
    markus.configure([])


def sent(namespace: str) -> dict[str, list[str]]:
    """Emit every metric of the registry once, with a value for each tag; return what statsd gets, by name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        options = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(statsd.getsockname()[1]), "HOSTNAME": "a"}
        set_up_metrics(
            AppConfig(build_config(options | {"STATSD_NAMESPACE": namespace, "METRICS_MOZILLA_NAMES": "true"}))
        )
        values = {"payload": "uncompressed", "status": "200", "level": "error", "result": "success", "count": "1"}
        for name, metric in load_registry().items():
            tags = [f"{tag}:{values.get(tag, 'x')}" for tag in metric.get("tags", {})]
            getattr(markus.get_metrics(""), metric["type"])(name, 7 if metric["type"] != "incr" else 1, tags=tags)
        markus.get_metrics("crashmover").gauge("spool_size", LAST)
        lines: dict[str, list[str]] = {}
        rest = ""
        while not rest.startswith(f"{LAST}|g"):
            for line in statsd.recv(65536).decode().splitlines():
                name, _, rest = line.partition(":")
                lines.setdefault(name, []).append(rest)
        return lines


@pytest.mark.parametrize("namespace", ["", "antenna.prod", "socorro.collector"])
def test_each_of_theirs_is_sent_with_its_type_whatever_the_namespace(namespace: str) -> None:
    lines = sent(namespace)

    for name, kind in THEIRS.items():
        assert {line.split("|")[1] for line in lines[name]} == {kind}, name


def test_tags_are_theirs() -> None:
    lines = sent("antenna.prod")
    collector = "socorro.collector"

    assert lines[f"{collector}.breakpad_resource.malformed"] == ["1|c|#reason:x,host:a"]
    assert lines[f"{collector}.breakpad_resource.throttle_rule"] == ["1|c|#rule:x,host:a"]
    assert lines[f"{collector}.breakpad_resource.throttle"] == [
        f"1|c|#host:a,result:{result}" for result in ("accept", "defer", "reject", "fakeaccept")
    ]
    assert lines[f"{collector}.breakpad_resource.gzipped_crash_decompress"] == ["7|h|#result:success,host:a"]
    assert lines[f"{collector}.breakpad_resource.crash_size"] == [
        "7|h|#payload:uncompressed,host:a",
        "7|h|#host:a,payload:compressed",
    ]
    assert lines[f"{collector}.crashmover.retry_count"] == ["1|c|#count:1,host:a"]
    assert lines[f"{collector}.crashmover.crash_save.time"] == ["7|ms|#host:a"]
    assert lines[f"{collector}.gunicorn.requests"] == ["1|c|#host:a"]
    assert lines["socorro.sentry_scrub_error"] == ["1|c|#host:a,service:collector"]


def test_no_name_is_sent_twice_where_the_namespace_is_theirs() -> None:
    lines = sent("socorro.collector")

    for name in ("breakpad_resource.incoming_crash", "breakpad_resource.on_post.time", "crashmover.crash_publish.time"):
        assert len(lines[f"socorro.collector.{name}"]) == 1, name
    # Our metric has another type. So only Mozilla's metric is sent under this name.
    assert lines["socorro.collector.breakpad_resource.gzipped_crash_decompress"] == ["7|h|#result:success,host:a"]


def test_every_row_begins_with_a_metric_of_ours() -> None:
    registry = load_registry()

    for name in MozillaNames().sources:
        assert name in registry


def test_without_the_option_nothing_of_theirs_is_sent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(2)
        set_up_metrics(
            AppConfig(build_config({"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(statsd.getsockname()[1])}))
        )
        markus.get_metrics("breakpad_resource").incr("incoming_crash")

        assert statsd.recv(65536).decode().splitlines() == [
            f"breakpad_resource.incoming_crash:1|c|#host:{socket.gethostname()}"
        ]
