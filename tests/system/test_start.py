# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A start from the environment alone; one that cannot work ends soon, and says why in one line."""

import json
import time
from pathlib import Path

import pytest

from tests.support.collector import Collector
from tests.support.faulty import REFUSE
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import AntennaServer, file_system_environment, google_cloud_environment
from tests.system.conftest import STATSD_NAMESPACE, TOKEN, Proxies


@pytest.fixture
def environment(gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic) -> dict[str, str]:
    return google_cloud_environment(gcs_bucket, pubsub_topic)


def assert_does_not_start(server: AntennaServer, *said: str) -> None:
    """Check that the server ends with an error within seconds, and that one line says why."""
    start = time.monotonic()
    assert server.wait(10) != 0
    assert time.monotonic() - start < 5
    lines = [line for line in server.logs().splitlines() if all(words in line for words in said)]
    assert len(lines) == 1, server.logs()
    assert "Traceback" not in server.logs()
    assert "traceback" not in server.logs()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "http", "expected an integer, from 1 to 65535"),
        ("LOGGING_LEVEL", "LOUD", "expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("BREAKPAD_MAX_PAYLOAD_SIZE", "much", "expected a size"),
    ],
)
def test_bad_value_is_named_with_what_was_expected(
    start_server: StartServer, tmp_path: Path, name: str, value: str, expected: str
) -> None:
    server = start_server(file_system_environment(tmp_path) | {name: value}, wait=False)

    assert_does_not_start(server, name, repr(value), expected)


def test_bad_secret_is_not_shown(start_server: StartServer, tmp_path: Path) -> None:
    environment = file_system_environment(tmp_path) | {"SECRET_SENTRY_DSN": "hush hush"}
    server = start_server(environment, wait=False)

    assert_does_not_start(server, "SECRET_SENTRY_DSN", "'*****'")
    assert "hush" not in server.logs()


def test_running_configuration_is_logged_without_secrets(collector: Collector) -> None:
    logged = {json.loads(line)["Fields"].get("msg") for line in collector.server.logs().splitlines()}

    assert TOKEN not in collector.server.logs()
    assert {
        "configuration: BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=*****",
        "configuration: BREAKPAD_MAX_PAYLOAD_SIZE=25MiB",
        "configuration: BREAKPAD_THROTTLER_RULES=house_rules.RULES",
        f"configuration: STATSD_NAMESPACE={STATSD_NAMESPACE}",
        "configuration: CRASHMOVER_CRASHSTORAGE_CLASS=antenna.ext.gcs.crashstorage.GcsCrashStorage",
    } <= logged


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_other_worker_class_is_served_by_gevent(start_server: StartServer, tmp_path: Path, worker_class: str) -> None:
    options = {"GUNICORN_WORKER_CLASS": worker_class, "GUNICORN_WORKERS": "2"}
    server = start_server(file_system_environment(tmp_path) | options)

    assert server.send_raw(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status == 200
    assert server.logs().count(f"GUNICORN_WORKER_CLASS={worker_class}: gevent serves all the same") == 1


def test_bucket_that_is_not_there(start_server: StartServer, environment: dict[str, str]) -> None:
    environment["CRASHMOVER_CRASHSTORAGE_BUCKET_NAME"] = "no-such-bucket"

    assert_does_not_start(start_server(environment, wait=False), "cannot start", "no-such-bucket", "404")


def test_topic_that_is_not_there(start_server: StartServer, environment: dict[str, str]) -> None:
    environment["CRASHMOVER_CRASHPUBLISH_TOPIC_NAME"] = "no-such-topic"

    assert_does_not_start(start_server(environment, wait=False), "cannot start", "no-such-topic", "404")


def test_backend_that_is_away(start_server: StartServer, environment: dict[str, str], proxies: Proxies) -> None:
    proxies.publish.fault = REFUSE

    assert_does_not_start(start_server(environment | proxies.options, wait=False), "cannot start", "refused")
