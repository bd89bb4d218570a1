# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every request is counted under any load: the counts are those of the answers that clients saw."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.collector import Collector
from tests.support.reports import annotation, chunked_report, dump, extra, gzipped_report, post, report
from tests.support.statsd import StatsdSink
from tests.system.conftest import HOUSE_RULES, StartCollector

PRODUCT = annotation("ProductName", "Firefox")

# Requests that clients send at the same time, again and again.
REQUESTS = [
    report(PRODUCT, dump(b"MDMP" * 5000)),
    chunked_report(PRODUCT, dump(b"MDMP")),
    gzipped_report(extra({"ProductName": "Fenix"})),
    report(annotation("Fate", "defer"), dump(b"MDMP")),
    report(annotation("Fate", "reject")),
    report(annotation("Fate", "fakeaccept")),
    report(annotation("uuid", "any")),
    report(dump(b"MDMP")),
    post(b"", {"Content-Length": "99999999"}),
    report(PRODUCT).replace(b"/submit", b"/submit/", 1),
    b"GET /submit HTTP/1.1\r\nHost: x\r\n\r\n",
    b"hello?\r\n\r\n",
    report(PRODUCT)[:-20],
    b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n",
]


def outcome_of(request: bytes, status: int, body: str) -> str | None:
    """Return the outcome that an answer shows to a client, or None if it has no outcome."""
    if b"__lbheartbeat__" in request:
        return None
    if request == REQUESTS[-2]:
        return "client_gone"
    if status == 200 and body.startswith("CrashID="):
        if b"fakeaccept" in request:
            return "fake"
        return "deferred" if body.strip()[-7] == "1" else "accepted"
    by_status = {401: "unauthorized", 404: "not_found", 405: "method", 408: "timeout", 413: "too_large", 503: "lost"}
    if status == 200:
        return "rejected"
    return "bad_http" if body.endswith("bad_request") else by_status.get(status, "malformed")


def send(collector: Collector, request: bytes) -> str | None:
    """Send a request on a connection of its own. Return the outcome that the client saw."""
    with collector.server.connect() as connection:
        connection.send(request)
        connection.socket.shutdown(socket.SHUT_WR)
        answer = connection.receive()
    return outcome_of(request, answer.status, answer.text)


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_was_counted_is_what_clients_saw(start_local_collector: StartCollector, tmp_path: Path) -> None:
    with StatsdSink() as statsd, ThreadPoolExecutor(8) as clients:
        collector = start_local_collector(
            **HOUSE_RULES,
            GUNICORN_WORKERS="2",
            STATSD_HOST="127.0.0.1",
            STATSD_PORT=str(statsd.port),
            CRASHMOVER_SPOOL_DIR=str(tmp_path / "spool"),
            # There is room for some crashes. Then the spool is full.
            CRASHMOVER_SPOOL_MAX_SIZE="200kB",
        )

        def send_all(times: int) -> Counter[str | None]:
            return Counter(clients.map(lambda request: send(collector, request), REQUESTS * times))

        seen = send_all(2)
        crashes = tmp_path / "crashes"
        crashes.rename(tmp_path / "taken-away")
        crashes.write_text("no directory")
        seen += send_all(8)
        crashes.unlink()
        (tmp_path / "taken-away").rename(crashes)
        wait_for(lambda: not list((tmp_path / "spool" / "save").iterdir()))
        seen += send_all(1)
        statsd.wait_until_quiet(1.0)
        counted = statsd.totals()

        del seen[None]
        assert {outcome: counted[f"requests,outcome:{outcome}"] for outcome in seen} == dict(seen)
        assert counted["requests"] == seen.total()
        assert min(seen[outcome] for outcome in ("accepted", "deferred", "lost")) > 0, "the test has missed its point"
        assert counted["crashmover.saved,via:live"] + counted["crashmover.spooled,kind:crash"] + counted[
            "crashes_lost"
        ] == (seen["accepted"] + seen["deferred"] + seen["lost"])
        assert counted["crashes_lost,cause:spool_full"] == counted["crashes_lost"] == seen["lost"]
        # All crashes that were answered with an id have arrived.
        assert counted["crashmover.delivered,kind:crash"] == counted["crashmover.spooled,kind:crash"]
        assert counted["crashmover.saved"] == seen["accepted"] + seen["deferred"]
        assert counted["crashmover.published"] == seen["accepted"]
        assert len(collector.raw_crash_names()) == seen["accepted"] + seen["deferred"]
