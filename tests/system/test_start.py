# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A collector starts from the environment alone. A start that cannot work ends soon, and says why in one line."""

import json
from pathlib import Path

import pytest
import requests

from tests.support.collector import Collector
from tests.support.faulty import PASS, REFUSE, Fault
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.peer import Peer, answer, send
from tests.support.reports import annotation, dump, report
from tests.support.server import PROJECT_ROOT, AntennaServer, file_system_environment, google_cloud_environment
from tests.system.conftest import Proxies

# A severity of syslog (RFC 5424 section 6.2.1). Worse ones have smaller numbers.
ERROR = 3

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))


@pytest.fixture
def environment(gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic) -> dict[str, str]:
    return google_cloud_environment(gcs_bucket, pubsub_topic)


def assert_does_not_start(server: AntennaServer, *said: str) -> None:
    """Check that the server ends with the exit code of a failed start, and that one line says why."""
    assert server.wait(60) == 3
    records = [json.loads(line) for line in server.logs().splitlines()]
    (told,) = [record["Fields"]["msg"] for record in records if record["Severity"] <= ERROR]
    assert told.startswith("cannot start: ")
    assert all(words in told for words in said)
    assert "traceback" not in server.logs().lower()


def test_bad_secret_is_not_shown(start_server: StartServer, tmp_path: Path) -> None:
    environment = file_system_environment(tmp_path) | {"SECRET_SENTRY_DSN": "hush hush"}
    server = start_server(environment, wait=False)

    assert_does_not_start(server, "SECRET_SENTRY_DSN", "'*****'")
    assert "hush" not in server.logs()


# What is logged with LOGGING_LEVEL=DEBUG, tests of the parts say.
def test_local_environment_says_little_but_where_it_listens(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(file_system_environment(tmp_path) | {"LOCAL_DEV_ENV": "true"})
    server.wait_until(lambda: f"ready: crash reports are taken at {server.url}/submit" in server.logs())

    server.send_raw(REPORT)

    logged = server.logs()
    assert f"crashes are saved in {tmp_path}" in logged
    assert not [words for words in ("configuration: PORT=", "METRICS|", "gunicorn.error") if words in logged]


def test_backend_that_is_away(start_server: StartServer, environment: dict[str, str], proxies: Proxies) -> None:
    proxies.publish.fault = REFUSE

    assert_does_not_start(start_server(environment | proxies.options, wait=False), "cannot start", "refused")


def test_address_that_cannot_be_had(start_server: StartServer, tmp_path: Path) -> None:
    # An address for documentation (RFC 5737). A port that is taken ends a start in the same way, after some seconds.
    server = start_server(file_system_environment(tmp_path) | {"LISTEN_ADDRESS": "192.0.2.1"}, wait=False)

    assert_does_not_start(server, "cannot start: cannot listen on", "Cannot assign requested address")


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": "no-such-bucket"}, ["no-such-bucket", "404"]),
        # A file that is TOML, but has no rules.
        ({"BREAKPAD_THROTTLER_RULES": f"{PROJECT_ROOT}/pyproject.toml"}, ["BREAKPAD_THROTTLER_RULES has a bad value"]),
    ],
)
def test_start_that_fails_is_reported_once(
    start_server: StartServer, environment: dict[str, str], problem: dict[str, str], said: list[str]
) -> None:
    with Peer(send(answer(b"{}"))) as sentry:
        options = {"GUNICORN_WORKERS": "2", "SECRET_SENTRY_DSN": f"http://public@127.0.0.1:{sentry.port}/1"}
        server = start_server(environment | options | problem, wait=False)

        assert_does_not_start(server, *said)
        assert len(sentry.requests) == 1


def test_with_a_spool_a_start_survives_what_a_running_collector_survives(
    start_server: StartServer,
    environment: dict[str, str],
    gcs_bucket: GcsBucket,
    pubsub_topic: PubSubTopic,
    proxies: Proxies,
    tmp_path: Path,
) -> None:
    proxies.storage.fault = Fault(status=403)
    options = proxies.options | {"CRASHMOVER_SPOOL_DIR": str(tmp_path / "spool"), "GUNICORN_WORKERS": "2"}
    server = start_server(environment | options)
    collector = Collector(server, gcs_bucket, pubsub_topic)
    crash_ids = [collector.assert_kept(collector.submit(REPORT)) for _ in range(10)]

    assert server.logs().count("the start goes on although storage does not work") == 1
    heartbeat = requests.get(f"{server.url}/__heartbeat__", timeout=20)
    assert heartbeat.status_code == 503
    assert [error for error in heartbeat.json()["errors"] if error.startswith("storage: ")]
    assert collector.raw_crash_names() == []

    proxies.storage.fault = PASS
    server.wait_until(lambda: len(collector.raw_crash_names()) == len(crash_ids))
    for crash_id in crash_ids:
        collector.assert_published(crash_id)


def test_one_worker_checks_the_backends_for_all_and_every_worker_is_one_of_gevent(
    start_server: StartServer, environment: dict[str, str], pubsub_topic: PubSubTopic
) -> None:
    server = start_server(environment | {"GUNICORN_WORKERS": "2", "GUNICORN_WORKER_CLASS": "gthread"})
    server.wait_until(lambda: server.logs().count("their ids are published to") == 2)

    assert [message.data for message in pubsub_topic.pull_messages()] == [b"test"]
    assert server.logs().count("GUNICORN_WORKER_CLASS=gthread: gevent serves all the same") == 1
