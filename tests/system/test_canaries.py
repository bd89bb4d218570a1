# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Secrets of clients and operators do not get into logs, metrics, Sentry, answers or the output of tools.

Each secret is a canary, a text that occurs nowhere else. The exceptions are what the specification names: products and
packages that are not listed, and a well-formed X-Request-ID.
"""

import gzip
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.collector import Collector
from tests.support.peer import Peer, answer, send
from tests.support.reports import annotation, dump, extra, gzipped_report, post, report
from tests.support.server import PROJECT_ROOT
from tests.support.statsd import StatsdSink
from tests.system.conftest import HOUSE_RULES, StartCollector

FATES = ("none", "rule", "backend", "refused", "value", "key", "os")

# Each text is secret, and so is whatever stands beside it.
CANARY = "canary-{}-tells-nothing"


class Canaries:
    """The secrets that were used."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def new(self, where: str) -> str:
        """Return a new secret for a place."""
        self.texts.append(CANARY.format(where))
        return self.texts[-1]

    def assert_absent(self, where: str, text: str) -> None:
        """Check that no secret is in ``text``, in any encoding."""
        assert len(self.texts) >= 30
        lower = text.lower()
        assert [canary for canary in self.texts if canary in lower] == [], where


def requests_with(canaries: Canaries) -> list[bytes]:
    """Return requests of every kind, with a secret in each place where a client can put one."""
    headers: dict[str, str | None] = {
        "Authorization": f"Bearer {canaries.new('bearer')}",
        "Cookie": f"session={canaries.new('cookie')}",
        "Host": canaries.new("host"),
        "Referer": f"https://example.com/{canaries.new('referer')}",
        "User-Agent": canaries.new("agent"),
        "X-Forwarded-For": canaries.new("forwarded"),
        "X-Request-ID": f"{canaries.new('request-id')}!",
        "X-Antenna-Token": canaries.new("token-header"),
        canaries.new("header-name"): "1",
    }

    def crash(fate: str) -> list[bytes]:
        return [
            annotation("Fate", fate),
            annotation(canaries.new(f"{fate}-name"), canaries.new(f"{fate}-value")),
            annotation("URL", f"https://example.com/{canaries.new(f'{fate}-url')}"),
            annotation("Email", canaries.new(f"{fate}-email")),
            dump(canaries.new(f"{fate}-content").encode(), "upload_file_minidump"),
        ]

    kept = [report(*crash(fate), headers=headers) for fate in FATES]
    normal = kept[0]
    malformed = [
        report(extra(f'{{"Email": "{canaries.new("json")}'.encode()), headers=headers),
        report(annotation("uuid", canaries.new("uuid")), headers=headers),
        report(annotation("A", "b"), dump(b"", f"raw_crash{canaries.new('dump-name')}"), headers=headers),
        post(canaries.new("body").encode(), headers | {"Content-Type": canaries.new("content-type")}),
        post(b"x", headers | {"Content-Type": f"multipart/form-data; boundary={canaries.new('boundary')}"}),
        post(b"x", headers | {"Content-Encoding": canaries.new("content-encoding")}),
        post(b"x", headers | {"Content-Length": None, "Transfer-Encoding": canaries.new("transfer-coding")}),
        gzipped_report(extra([canaries.new("list")])),
        normal[:-30],
    ]
    elsewhere = [
        normal.replace(b"/submit", f"/submit?id={canaries.new('query')}".encode(), 1),
        normal.replace(b"/submit", f"/{canaries.new('path')}".encode(), 1),
        normal.replace(b"POST", canaries.new("method").upper().encode(), 1),
        normal.replace(b"HTTP/1.1", canaries.new("version").encode(), 1),
        f"GET /__broken__?{canaries.new('broken')} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"{canaries.new('garbage')}\r\n\r\n".encode(),
    ]
    return [*kept, *malformed, *elsewhere]


def sentry_events(sentry: Peer) -> str:
    """Return everything that was sent to Sentry, as text."""
    bodies = [request.body for request in sentry.requests]
    text = "\n".join(
        (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode("utf-8", "replace") for body in bodies
    )
    # Each event has the DSN that it is sent with, and its key.
    return re.sub(r'"(dsn|public_key)":"[^"]*"', "", text)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("spool", [True, False], ids=["with a spool", "without"])
def test_nothing_private_leaks(start_local_collector: StartCollector, tmp_path: Path, spool: bool) -> None:
    canaries = Canaries()
    with StatsdSink() as statsd, Peer(send(answer(b"{}"))) as sentry:
        options = {
            **HOUSE_RULES,
            "BREAKPAD_THROTTLER_RULES": "leaky.RULES",
            "CRASHMOVER_CRASHSTORAGE_CLASS": "leaky.LeakyStorage",
            "CRASHMOVER_MAX_ATTEMPTS": "2",
            "CRASHMOVER_RETRY_SLEEP_SECONDS": "10ms",
            "CRASHMOVER_SPOOL_DIR": str(tmp_path / "spool") if spool else "",
            "LOGGING_LEVEL": "DEBUG",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(statsd.port),
            "SECRET_SENTRY_DSN": f"http://{canaries.new('dsn')}@127.0.0.1:{sentry.port}/1",
            "BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": canaries.new("submitter"),
            "STORAGE_EMULATOR_HOST": f"http://me:{canaries.new('emulator')}@127.0.0.1:1",
            "CMD_PREFIX": f"env TOKEN={canaries.new('prefix')}",
        }
        collector = start_local_collector(**options)
        requests = requests_with(canaries)
        answers = []
        for request in requests * 2:
            with collector.server.connect() as connection:
                connection.send(request)
                connection.socket.shutdown(socket.SHUT_WR)
                answers.append(connection.receive().text)
        wait_for(lambda: "LeakyStorage" not in sentry_events(sentry) and len(sentry.requests) >= 2)
        statsd.wait_until_quiet(0.6)
        collector.server.stop()

        canaries.assert_absent("log", collector.server.logs())
        canaries.assert_absent("metrics", str(statsd.metrics))
        canaries.assert_absent("Sentry", sentry_events(sentry))
        canaries.assert_absent("answers", "\n".join(answers))
        assert_each_error_has_its_place(collector)
        commands = [["bin/show_config.py"], ["bin/check_config.py", "--offline"], ["bin/spool.py", "list", "--json"]]
        # Their output does not depend on whether there is a spool.
        for command in commands if spool else ():
            canaries.assert_absent(command[0], run_tool(command, options, tmp_path))


def assert_each_error_has_its_place(collector: Collector) -> None:
    """Check that the log says of an error of the storage where it was raised, and says so once a type and minute."""
    fields = [json.loads(line)["Fields"] for line in collector.server.logs().splitlines()]
    places = [record["error"] for record in fields if "ValueError" in record.get("error", "")]
    assert 1 <= len(places) <= 2, "the test may last from one minute to the next"
    assert all(place.startswith("ValueError at leaky.py:") for place in places)


def run_tool(command: list[str], options: dict[str, str], directory: Path) -> str:
    """Run a program with the environment of the collector. Return its output."""
    environment = options | {
        "PATH": "/usr/bin:/bin",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(directory / "crashes"),
        "BREAKPAD_TEMP_DIR": str(directory),
    }
    return subprocess.run(
        [sys.executable, *command],
        check=False,  # a program that finds faults ends with an error
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout
