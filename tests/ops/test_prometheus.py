# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prometheus gets the metrics of the registry, under the names and in the units that it prefers."""

import re
import time
from collections.abc import Iterator

import markus
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from antenna.config import AppConfig, build_config
from antenna.ops.instance import Instance
from antenna.ops.metrics import set_up_metrics
from antenna.ops.prometheus import exposition
from antenna.ops.registry import load_metrics
from antenna.ops.shared_table import shared_table
from antenna.refusal import LossCause, Outcome
from tests.support.statsd import StatsdSink


@pytest.fixture
def instance() -> Iterator[Instance]:
    """An instance whose metrics are added up for Prometheus."""
    instance = Instance(workers=1)
    set_up_metrics(AppConfig(build_config({"HOSTNAME": "antenna-7"})), instance)
    yield instance
    markus.configure([])


@pytest.fixture(autouse=True)
def metricsmock() -> None:
    """No mock: these tests look at the real backend."""


def samples(instance: Instance) -> dict[str, float]:
    """The values that Prometheus gets, by name and labels."""
    text = exposition(instance)("")[0].decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def test_each_kind_of_metric(instance: Instance) -> None:
    metrics = markus.get_metrics("")
    metrics.incr("requests", 2, tags=["outcome:accepted"])
    metrics.gauge("crashmover.spool_size", 4096)
    metrics.gauge("instance.build", 1, tags=["version:1.0", 'commit:a"b'])
    metrics.timing("breakpad_resource.on_post.time", 30)
    metrics.timing("breakpad_resource.on_post.time", 70_000)
    metrics.histogram("breakpad_resource.crash_size", 1024, tags=["payload:compressed"])

    seen = samples(instance)
    assert seen['antenna_requests_total{outcome="accepted"}'] == 2
    assert seen["antenna_crashmover_spool_size_bytes"] == 4096
    assert seen['antenna_instance_build_info{commit="a\\"b",version="1.0"}'] == 1
    on_post = "antenna_breakpad_resource_on_post_seconds"
    assert [seen[f'{on_post}_bucket{{le="{le}"}}'] for le in ("0.025", "0.05", "60.0", "+Inf")] == [0, 1, 1, 2]
    assert seen[f"{on_post}_count"] == 2
    assert seen[f"{on_post}_sum"] == pytest.approx(70.03)
    assert seen['antenna_breakpad_resource_crash_size_bytes_bucket{le="1024.0",payload="compressed"}'] == 1


def test_statsd_the_log_and_prometheus_get_metrics_at_once(caplog: pytest.LogCaptureFixture) -> None:
    instance = Instance(workers=1)
    with StatsdSink() as statsd, caplog.at_level("INFO", "markus"):
        options = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(statsd.port), "LOCAL_DEV_ENV": "true"}
        set_up_metrics(AppConfig(build_config(options)), instance)
        markus.get_metrics("throttle").incr("accept")
        end = time.monotonic() + 10
        while not statsd.totals()["throttle.accept"] and time.monotonic() < end:
            time.sleep(0.01)
        markus.configure([])

    assert samples(instance)["antenna_throttle_accept_total"] == 1
    assert statsd.totals()["throttle.accept"] == 1
    assert any("throttle.accept|1" in message for message in caplog.messages)


def test_what_may_happen_is_there_before_it_does(instance: Instance) -> None:
    seen = samples(instance)

    assert {seen[f'antenna_requests_total{{outcome="{outcome.tag}"}}'] for outcome in Outcome} == {0}
    assert {seen[f'antenna_crashes_lost_total{{cause="{cause.tag}"}}'] for cause in LossCause} == {0}
    assert seen['antenna_crashmover_backend_errors_total{backend="storage",class="quota"}'] == 0
    assert not [name for name in seen if "spool_size" in name], "a gauge that was not set is no 0"


def test_names_that_nobody_knows_beforehand_come_when_they_are_counted(instance: Instance) -> None:
    markus.get_metrics("throttle").incr("rule_error", tags=["rule:mine"])
    markus.get_metrics("crashmover").incr("retry_count", tags=["count:1", "operation:save"])

    seen = samples(instance)
    assert seen['antenna_throttle_rule_error_total{rule="mine"}'] == 1
    assert seen['antenna_crashmover_retry_total{count="1",operation="save"}'] == 1


@pytest.mark.parametrize(("name", "stat_type"), [("no_such_metric", "incr"), ("requests", "gauge")])
def test_what_is_not_registered_is_dropped_and_counted(instance: Instance, name: str, stat_type: str) -> None:
    for _ in range(2):
        getattr(markus.get_metrics(""), stat_type)(name, 1)

    assert samples(instance)['antenna_metrics_dropped_total{cause="unregistered"}'] == 2


def test_rules_for_which_there_is_no_room_are_counted(instance: Instance) -> None:
    for number in range(5000):
        markus.get_metrics("throttle").incr("rule_error", tags=[f"rule:rule_{number}"])
    markus.get_metrics("").incr("requests", tags=["outcome:accepted"])

    seen = samples(instance)
    assert seen['antenna_metrics_dropped_total{cause="no_room"}'] > 1000
    assert seen['antenna_requests_total{outcome="accepted"}'] == 1


def test_worker_goes_on_counting_when_it_has_joined_others(instance: Instance) -> None:
    markus.get_metrics("").incr("requests", tags=["outcome:accepted"])
    master = shared_table({})
    # With this series before them, the worker's series are at other places than in the table that it had alone.
    master.series.find("requests", ("lost",), 1)
    instance.join(master, master.admit())
    markus.get_metrics("").incr("requests", tags=["outcome:accepted"])

    assert samples(instance)['antenna_requests_total{outcome="accepted"}'] == 2


# The Accept header of Prometheus 2.42.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/html, nonsense;;=", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=new", "text/plain; version=0.0.4"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_format_is_the_one_that_is_asked_for(instance: Instance, accept: str, content_type: str) -> None:
    markus.get_metrics("throttle").incr("rule_error", tags=['rule:a\\b"c'])
    body, answered = exposition(instance)(accept)

    assert answered.startswith(content_type)
    parser = parse_openmetrics if "openmetrics" in answered else parse
    assert len(list(parser(body.decode()))) > 40


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = {metric.prometheus_name: metric for metric in load_metrics().values()}

    assert len(names) == len(load_metrics()), "each has its own"
    for name, metric in names.items():
        assert re.fullmatch(r"antenna_[a-z][a-z_]*[a-z]", name)
        assert name.endswith("_total") == (metric.type == "incr")
        assert metric.type != "timing" or name.endswith("_seconds")
        assert not re.search(r"_(count|sum|bucket|time)$", name)
