# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every request is counted once by how it ended, and nothing is emitted that operators cannot look up."""

from collections import Counter

import pytest
import yaml

from tests.support.collector import Collector
from tests.support.reports import annotation, chunked_report, dump, extra, gzipped_report, multipart, post, report
from tests.support.server import PROJECT_ROOT
from tests.support.statsd import StatsdSink
from tests.system.conftest import STATSD_NAMESPACE

PRODUCT = annotation("ProductName", "Firefox")
TYPES = {"incr": "c", "gauge": "g", "timing": "ms", "histogram": "h"}

# What ends in which outcome.
REQUESTS: dict[str, list[bytes]] = {
    "breakpad_resource.save_crash.count": [
        report(PRODUCT, dump(b"MDMP")),
        chunked_report(PRODUCT),
        gzipped_report(extra({"ProductName": "Fenix"})),
        report(annotation("Fate", "defer")),
        report(annotation("Fate", "raise")),
    ],
    "throttle.reject": [report(annotation("Fate", "reject")), report(annotation("Number", "5"), dump(b"MDMP"))],
    "throttle.fakeaccept": [report(annotation("Fate", "fakeaccept"))],
    "breakpad_resource.malformed,reason:no_annotations": [report(dump(b"MDMP")), gzipped_report(extra({}))],
    "breakpad_resource.malformed,reason:unauthorized_uuid": [report(annotation("uuid", "any"))],
    "breakpad_resource.malformed,reason:invalid_json": [report(extra(b"{"))],
    "breakpad_resource.malformed,reason:bad_gzip": [post(multipart(PRODUCT), {"Content-Encoding": "gzip"})],
    "breakpad_resource.malformed,reason:too_large": [post(b"", {"Content-Length": "99999999"})],
    "breakpad_resource.malformed,reason:no_content_length": [post(b"")],
    "breakpad_resource.malformed,reason:bad_request": [b"hello?\r\n\r\n"],
}


@pytest.fixture(scope="module")
def counted(collector: Collector, statsd: StatsdSink) -> Counter[str]:
    """What all of the requests together were counted as."""
    statsd.wait_until_quiet()
    before = statsd.totals()
    for requests in REQUESTS.values():
        for request in requests:
            collector.submit(request)
    statsd.wait_until_quiet()
    prefix = f"{STATSD_NAMESPACE}."
    return Counter({name.removeprefix(prefix): count for name, count in (statsd.totals() - before).items()})


@pytest.mark.parametrize("outcome", REQUESTS)
def test_outcome(counted: Counter[str], outcome: str) -> None:
    assert counted[outcome] == len(REQUESTS[outcome])


def test_every_request_ends_in_one_outcome(counted: Counter[str]) -> None:
    outcomes = ("breakpad_resource.malformed", *(outcome for outcome in REQUESTS if "malformed" not in outcome))

    assert sum(counted[outcome] for outcome in outcomes) == sum(map(len, REQUESTS.values()))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("breakpad_resource.incoming_crash", 9),
        ("breakpad_resource.gzipped_crash", 3),
        ("breakpad_resource.unauthorized_uuid", 1),
        ("throttle.accept", 4),
        ("throttle.defer", 1),
        ("breakpad_resource.throttle_rule,rule:is_rejected", 1),
        ("breakpad_resource.throttle_rule,rule:everything_else", 4),
        ("throttle.rule_error,rule:faulty", 4),
    ],
)
def test_on_the_way(counted: Counter[str], name: str, count: int) -> None:
    assert counted[name] == count


@pytest.mark.usefixtures("counted")
def test_what_is_emitted_is_in_the_registry(statsd: StatsdSink) -> None:
    registry = yaml.safe_load((PROJECT_ROOT / "antenna" / "statsd_metrics.yaml").read_text())
    registered = {f"{STATSD_NAMESPACE}.{name}": metric for name, metric in registry.items()}

    for metric in statsd.metrics:
        assert metric.type == TYPES[registered[metric.name]["type"]]
        tags = {tag.partition(":")[0] for tag in metric.tags}
        assert tags == {"host", *registered[metric.name].get("tags", {})}


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    "name",
    [
        "breakpad_resource.crash_size",
        "breakpad_resource.gzipped_crash_decompress",
        "breakpad_resource.on_post.time",
        "breakpad_resource.crash_save.time",
        "breakpad_resource.crash_handling.time",
        "crashmover.crash_publish.time",
    ],
)
def test_measured(statsd: StatsdSink, name: str) -> None:
    values = [metric.value for metric in statsd.metrics if metric.name == f"{STATSD_NAMESPACE}.{name}"]

    assert values
    assert min(values) >= 0
