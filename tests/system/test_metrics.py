# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every request is counted once by how it ended, and each metric that is emitted is documented."""

import socket
from collections import Counter
from itertools import chain

import pytest
import yaml

from tests.support.collector import Collector
from tests.support.reports import annotation, chunked_report, dump, extra, gzipped_report, multipart, post, report
from tests.support.server import PROJECT_ROOT
from tests.support.statsd import StatsdSink
from tests.system.conftest import STATSD_NAMESPACE

PRODUCT = annotation("ProductName", "Firefox")
TYPES = {"incr": "c", "gauge": "g", "timing": "ms", "histogram": "h"}

# Requests for each outcome. If a request is cut off, its client sends this beginning and closes the connection.
REQUESTS: dict[str, list[bytes]] = {
    "accepted": [
        report(PRODUCT, dump(b"MDMP")),
        chunked_report(PRODUCT),
        gzipped_report(extra({"ProductName": "Fenix"})),
        report(annotation("Fate", "raise")),
    ],
    "deferred": [report(annotation("Fate", "defer"))],
    "rejected": [report(annotation("Fate", "reject")), report(annotation("Number", "5"), dump(b"MDMP"))],
    "fake": [report(annotation("Fate", "fakeaccept"))],
    "malformed": [
        report(dump(b"MDMP")),
        gzipped_report(extra({})),
        report(extra(b"{")),
        post(multipart(PRODUCT), {"Content-Encoding": "gzip"}),
        post(b""),
        post(b"zz\r\n", {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    ],
    "unauthorized": [report(annotation("uuid", "any"))],
    "too_large": [post(b"", {"Content-Length": "99999999"}), post(b"", {"X-Large": "x" * 40_000})],
    "not_found": [
        report(PRODUCT).replace(b"/submit", b"/submit/", 1),
        report(PRODUCT).replace(b"/submit", b"/", 1),
        b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    "method": [
        b"GET /submit?id=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS /submit HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /submit HTTP/1.1\r\nHost: x\r\n\r\n",
        report(PRODUCT).replace(b"/submit", b"/__heartbeat__", 1),
    ],
    "bad_http": [
        b"hello?\r\n\r\n",
        b"POST /submit HTTP/9.9\r\nHost: x\r\n\r\n",
        report(PRODUCT).replace(b"Host:", b"Host :", 1),
        post(b"", {"Expect": "miracles"}),
    ],
    "client_gone": [
        b"P",
        b"POST /submit HTTP/1.1\r\nHost: x\r\n",
        report(PRODUCT, dump(b"MDMP"))[:-20],
        chunked_report(PRODUCT)[:-5],
        report(PRODUCT).replace(b"Host:", b"Expect: 100-continue\r\nHost:", 1)[:-20],
    ],
}
# Requests that have no outcome.
UNCOUNTED = [b"", *(f"{method} /__version__ HTTP/1.1\r\nHost: x\r\n\r\n".encode() for method in ("GET", "HEAD"))]

# Further counts of all these requests together.
DETAILS = {
    "breakpad_resource.save_crash.count": 5,
    "throttle.reject": 2,
    "throttle.fakeaccept": 1,
    "breakpad_resource.malformed,reason:no_annotations": 2,
    "breakpad_resource.malformed,reason:invalid_json": 1,
    "breakpad_resource.malformed,reason:bad_gzip": 1,
    "breakpad_resource.malformed,reason:too_large": 2,
    "breakpad_resource.malformed,reason:no_content_length": 1,
    "breakpad_resource.malformed,reason:bad_request": 4,
    "breakpad_resource.malformed,reason:unauthorized_uuid": 0,
    "breakpad_resource.incoming_crash": 8,
    "breakpad_resource.gzipped_crash": 3,
    "breakpad_resource.unauthorized_uuid": 1,
    "throttle.accept": 4,
    "throttle.defer": 1,
    "breakpad_resource.throttle_rule,rule:is_rejected": 1,
    "breakpad_resource.throttle_rule,rule:everything_else": 4,
    "throttle.rule_error,rule:faulty": 4,
    "crashes_lost": 0,
}


def send(collector: Collector, request: bytes) -> None:
    """Send one request on a connection, and wait until the collector has closed it."""
    with collector.server.connect() as connection:
        connection.send(request)
        connection.socket.shutdown(socket.SHUT_WR)
        while connection.socket.recv(65536):
            pass


@pytest.fixture(scope="module")
def counted(collector: Collector, statsd: StatsdSink) -> Counter[str]:
    """The counts of all requests together."""
    statsd.wait_until_quiet()
    before = statsd.totals()
    for request in chain(UNCOUNTED, *REQUESTS.values()):
        send(collector, request)
    statsd.wait_until_quiet()
    prefix = f"{STATSD_NAMESPACE}."
    return Counter({name.removeprefix(prefix): count for name, count in (statsd.totals() - before).items()})


@pytest.mark.parametrize("outcome", REQUESTS)
def test_outcome(counted: Counter[str], outcome: str) -> None:
    assert counted[f"requests,outcome:{outcome}"] == len(REQUESTS[outcome])


def test_every_request_has_one_outcome(counted: Counter[str]) -> None:
    assert counted["requests"] == sum(map(len, REQUESTS.values()))


@pytest.mark.parametrize(("name", "count"), DETAILS.items())
def test_details(counted: Counter[str], name: str, count: int) -> None:
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
