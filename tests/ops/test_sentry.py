# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sentry hears of unexpected errors, and nothing of what clients sent with their requests."""

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import falcon
import falcon.testing
import pytest
import requests
import sentry_sdk
from markus.testing import MetricsMock

from antenna.app import AntennaApp
from antenna.backend import BackendError
from antenna.config import AppConfig, ConfigurationError, build_config
from antenna.ops.sentry import MAX_MESSAGE_LENGTH, report_startup_error, scrub_event, scrub_message, set_up_sentry
from tests.support.kent import Kent, running_kent

logger = logging.getLogger("antenna.test")

NO_BACKENDS = {
    "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.crashstorage_base.NoOpCrashStorage",
    "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.crashpublish_base.NoOpCrashPublish",
}


@pytest.fixture(scope="module")
def kent_process() -> Iterator[Kent]:
    with running_kent() as kent:
        yield kent


@pytest.fixture
def kent(kent_process: Kent) -> Iterator[Kent]:
    requests.post(f"{kent_process.url}/api/flush/", timeout=5)
    yield kent_process
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    set_up_sentry(AppConfig(build_config({})))


def set_up(kent: Kent, **environ: str) -> None:
    set_up_sentry(AppConfig(build_config({"SECRET_SENTRY_DSN": kent.dsn, "HOSTNAME": "antenna-7"} | environ)))


class FaultyResource:
    """Fails while local variables have texts that a client sent."""

    def __init__(self, fail: Callable[[str], NoReturn]) -> None:
        self.fail = fail

    def on_post(self, req: falcon.Request, _resp: falcon.Response) -> None:
        token = req.get_header("Authorization")
        body = req.bounded_stream.read().decode()
        self.fail(f"{token} {body}")


def fail_with_value(_client_data: str) -> NoReturn:
    raise KeyError("ProductName")


def fail_with_message(client_data: str) -> NoReturn:
    raise ValueError(f"Authorization: {client_data}")


def fail_with_cause(client_data: str) -> NoReturn:
    try:
        fail_with_message(client_data)
    except ValueError as error:
        raise RuntimeError("could not save https://user:hunter2@198.51.100.7/?id={hunter2}") from error


@pytest.mark.parametrize("fail", [fail_with_value, fail_with_message, fail_with_cause])
def test_error_in_a_resource_is_reported_without_anything_of_the_request(
    kent: Kent, tmp_path: Path, fail: Callable[[str], NoReturn]
) -> None:
    (tmp_path / "version.json").write_text('{"version": "2026.11.22", "commit": "0123456789abcdef"}')
    set_up(kent, BASEDIR=str(tmp_path))
    config = build_config(NO_BACKENDS)
    app = AntennaApp(AppConfig(config), config)
    app.add_route("/faulty", FaultyResource(fail))

    answer = falcon.testing.TestClient(app).simulate_post(
        "/faulty",
        body="annotation=hunter2",
        query_string="id={hunter2}&version=hunter2",
        headers={"Authorization": "Bearer hunter2", "Cookie": "session=hunter2", "X-Forwarded-For": "198.51.100.7"},
        remote_addr="198.51.100.7",
    )

    assert answer.status_code == 500
    event = kent.event()
    assert event["release"] == "2026.11.22:01234567"
    assert event["server_name"] == "antenna-7"
    exception = event["exception"]["values"][-1]
    assert exception["type"] in {"KeyError", "ValueError", "RuntimeError"}
    frames = exception["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames][-2:] == ["on_post", fail.__name__]
    for forbidden in ("hunter2", "198.51.100.7", "annotation=", "session"):
        # The source around a frame is this file, which contains the secret.
        without_source = strip_source(event)
        assert forbidden not in json.dumps(without_source)
    assert "request" not in event
    assert "user" not in event
    assert "vars" not in json.dumps(list(frames[-1]))


def strip_source(event: dict[str, Any]) -> dict[str, Any]:
    for exception in event["exception"]["values"]:
        for frame in exception["stacktrace"]["frames"]:
            for key in ("context_line", "pre_context", "post_context"):
                frame.pop(key, None)
    return event


def test_error_that_is_logged_with_its_traceback_is_reported_once(kent: Kent) -> None:
    set_up(kent)
    set_up(kent)

    try:
        fail_with_value("")
    except KeyError as error:
        logger.exception("it broke")
        logger.exception("it broke, says another")
        sentry_sdk.capture_exception(error)

    (exception,) = kent.event()["exception"]["values"]
    assert exception["type"] == "KeyError"
    assert exception["value"] == "", "the message of an error that is not ours may quote anything"


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (BackendError("hunter2"), ""),  # raised by a storage that is not ours
        (PermissionError(errno.EACCES, "hunter2", "/hunter2"), "[Errno 13] Permission denied"),
    ],
)
def test_error_of_code_that_is_not_ours_is_its_type_and_place(kent: Kent, error: Exception, value: str) -> None:
    set_up(kent)

    try:
        raise error
    except (BackendError, OSError):
        logger.exception("it broke")

    event = kent.event()
    assert event["exception"]["values"][-1]["value"] == value
    assert "hunter2" not in json.dumps(strip_source(event))


def test_change_of_state_is_reported_once(kent: Kent) -> None:
    set_up(kent)

    for _ in range(3):
        logger.error("%s is down: %s", "storage", "status 403", extra={"tell_sentry": True})
    logger.error("save failed: status 403")

    event = kent.event()
    assert event["level"] == "error"
    assert event["message"] == "storage is down: status 403"


def test_errors_that_are_expected_are_not_reported(kent: Kent) -> None:
    set_up(kent)

    logger.error("the backend is away")
    logger.warning("trying again", exc_info=ValueError("expected"))

    sentry_sdk.flush(5)
    assert kent.events() == []


def test_without_a_dsn_nothing_is_set_up() -> None:
    set_up_sentry(AppConfig(build_config({})))

    assert not sentry_sdk.is_initialized()


def test_bad_option_is_reported_as_start_up_error(kent: Kent) -> None:
    config = build_config({"SECRET_SENTRY_DSN": kent.dsn, "HOSTNAME": "antenna-7", "STATSD_PORT": "http"})
    with pytest.raises(ConfigurationError) as caught:
        AppConfig(config)

    report_startup_error(config, caught.value)

    (event,) = kent.events()
    assert event["server_name"] == "antenna-7"
    assert "STATSD_PORT has a bad value 'http'" in event["exception"]["values"][-1]["value"]


@pytest.mark.parametrize("dsn", ["", "hunter2"])
def test_start_up_error_without_a_good_dsn_raises_nothing(dsn: str) -> None:
    report_startup_error(build_config({"SECRET_SENTRY_DSN": dsn}), ValueError("it broke"))

    assert not sentry_sdk.is_initialized()


def test_error_just_before_the_end_of_the_process_is_still_sent_and_says_nothing_on_stderr(kent: Kent) -> None:
    program = """
import logging
from antenna.app import AntennaApp
from antenna.config import AppConfig, build_config
from antenna.ops.sentry import set_up_sentry

set_up_sentry(AppConfig(build_config()))
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("antenna").exception("it broke")
    logging.getLogger().handlers.clear()
"""
    environ = os.environ | {"SECRET_SENTRY_DSN": kent.dsn}

    process = subprocess.run([sys.executable, "-c", program], check=True, env=environ, capture_output=True, text=True)

    assert process.stderr == ""
    assert [event["exception"]["values"][0]["type"] for event in kent.events()] == ["ZeroDivisionError"]


@pytest.mark.parametrize(
    ("message", "scrubbed"),
    [
        ("'ProductName'", "'ProductName'"),
        ("no such bucket: crashes (at 06:12:50)", "no such bucket: crashes (at 06:12:50)"),
        ("Authorization: Bearer abc.def", "Authorization:[Scrubbed]"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': 'Bearer [Scrubbed]"),
        ("Set-Cookie: session=abc; path=/", "Set-Cookie:[Scrubbed]"),
        ("POST /submit?id={b-1}&version=2 failed", "POST /submit?[Scrubbed] failed"),
        ("http://user:password@host/path", "http://[Scrubbed]@host/path"),
        ("reset by 198.51.100.7:4711", "reset by [Scrubbed]:4711"),
        ("reset by ::1", "reset by [Scrubbed]"),
        ("reset by [2001:db8::8a2e:370:7334]:80", "reset by [[Scrubbed]]:80"),
        ("reset by 2001:0db8:0000:0000:0000:8a2e:0370:7334", "reset by [Scrubbed]"),
        (None, "None"),
        ("x" * 10_000, "x" * MAX_MESSAGE_LENGTH),
    ],
)
def test_message_of_an_error_is_scrubbed(message: object, scrubbed: str) -> None:
    assert scrub_message(message) == scrubbed


@pytest.mark.parametrize("event", [{"exception": {"values": "no list"}}, {"exception": {"values": [5]}}])
def test_event_that_cannot_be_scrubbed_is_counted_and_sent_without_its_content(
    event: dict[str, Any], metricsmock: MetricsMock
) -> None:
    event |= {"event_id": "1", "release": "1:2", "server_name": "antenna-7", "extra": "hunter2"}

    sent = scrub_event(event, {"exc_info": (KeyError, KeyError("hunter2"), None)})

    metricsmock.assert_incr_once("sentry_scrub_error")
    assert sent == {
        "event_id": "1",
        "release": "1:2",
        "server_name": "antenna-7",
        "message": "KeyError, of which no more can be said: the report could not be scrubbed",
    }


def test_whatever_gets_into_a_request_or_a_user_is_removed() -> None:
    event = {
        "request": {
            "method": "POST",
            "data": "hunter2",
            "cookies": {"session": "hunter2"},
            "headers": {"Authorization": "Bearer hunter2"},
            "query_string": "id={hunter2}",
            "env": {"REMOTE_ADDR": "hunter2"},
        },
        "user": {"ip_address": "hunter2"},
        "logentry": {"message": "%s", "params": ["hunter2"]},
        "exception": {"values": [{"value": "", "stacktrace": {"frames": [{"vars": {"body": "hunter2"}}]}}]},
    }

    assert "hunter2" not in json.dumps(scrub_event(event, {}))
