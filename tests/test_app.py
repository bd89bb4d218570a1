# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The application is built from the environment, and logs what it runs with."""

import logging
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from falcon.testing import Result, TestClient
from markus.testing import MetricsMock

from antenna.app import AntennaApp, build_app
from antenna.config import REMOVED_OPTIONS, AppConfig, ConfigurationError, build_config, parse_class
from tests.support.backends import ENVIRONMENT, Storage
from tests.support.options import OPTION_NAMES
from tests.support.reports import BOUNDARY, annotation, multipart


def make_app(**options: str) -> AntennaApp:
    config = build_config(ENVIRONMENT | options)
    return AntennaApp(AppConfig(config), config)


def post_report(app: AntennaApp) -> Result:
    body = multipart(annotation("ProductName", "Thunderbird"))
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return TestClient(app).simulate_post("/submit", body=body, headers=headers)


def test_collector_with_nothing_but_a_storage_serves() -> None:
    config = build_config({"CRASHMOVER_CRASHSTORAGE_CLASS": ENVIRONMENT["CRASHMOVER_CRASHSTORAGE_CLASS"]})
    app = AntennaApp(AppConfig(config), config)

    assert TestClient(app).simulate_get("/__lbheartbeat__").status_code == 200
    app.verify()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/submit", 405), ("PUT", "/__version__", 405), ("BREW", "/submit", 405), ("POST", "/submit/", 404)],
)
def test_what_is_not_there_is_answered_in_plain_text(method: str, path: str, status: int) -> None:
    with pytest.warns() if method == "BREW" else nullcontext():
        answer = TestClient(make_app()).simulate_request(method, path, headers={"Accept": "application/json"})

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (status, "text/plain", b"")
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("method", "path", "content_type", "how"),
    [
        ("POST", "/submit/", f"multipart/form-data; boundary={BOUNDARY}", "path"),
        ("POST", "/", "Multipart/Mixed", "path"),
        ("GET", "/submit", None, "method"),
        ("POST", "/wp-login.php", "application/x-www-form-urlencoded", None),
        ("POST", "/xmlrpc", None, None),
        ("GET", "/.env", None, None),
        ("PUT", "/__version__", "multipart/form-data", None),
    ],
)
def test_crashes_that_go_astray_are_counted_and_scanners_are_not(
    metricsmock: MetricsMock, method: str, path: str, content_type: str | None, how: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    TestClient(make_app()).simulate_request(method, path, headers=headers)

    counted = [record.tags for record in metricsmock.filter_records("incr", "crashes_astray")]
    assert counted == ([[f"how:{how}"]] if how else [])


@pytest.mark.parametrize("environ", [{}, {"CRASHMOVER_CRASHSTORAGE_CLASS": " "}])
def test_storage_has_to_be_named(environ: dict[str, str]) -> None:
    config = build_config(environ)

    with pytest.raises(ConfigurationError) as raised:
        AntennaApp(AppConfig(config), config)

    said = str(raised.value)
    assert said.startswith("CRASHMOVER_CRASHSTORAGE_CLASS is not set: ")
    settings = [
        dict(re.findall(r"(CRASHMOVER_\w+)=(\S+)", part)) for part in said.partition("In files:")[2].split("In ")
    ]
    assert [set(names) - OPTION_NAMES for names in settings] == [set(), set()]
    for names in settings:
        assert parse_class(names["CRASHMOVER_CRASHSTORAGE_CLASS"]).keeps
        assert parse_class(names["CRASHMOVER_CRASHPUBLISH_CLASS"]).publishes


def test_storage_that_keeps_nothing_is_a_warning_of_the_heartbeat() -> None:
    app = make_app(CRASHMOVER_CRASHSTORAGE_CLASS="antenna.ext.crashstorage_base.NoOpCrashStorage")

    answer = TestClient(app).simulate_get("/__heartbeat__")

    assert answer.status_code == 200
    assert answer.json["errors"] == []
    assert answer.json["checks"]["storage"]["status"] == "warning"
    assert "not kept" in answer.json["checks"]["storage"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/__lbheartbeat__", 200),
        ("HEAD", "/__lbheartbeat__", 200),
        ("GET", "/__heartbeat__", 200),
        ("GET", "/__version__", 200),
        ("GET", "/__broken__", 500),
        ("GET", "/submit", 405),
        ("PUT", "/submit", 405),
        ("POST", "/__lbheartbeat__", 405),
        ("GET", "/", 404),
        ("GET", "/submit/", 404),
        ("POST", "/Submit", 404),
    ],
)
def test_routes(method: str, path: str, status: int) -> None:
    assert TestClient(make_app()).simulate_request(method, path).status_code == status


def test_other_methods_are_told_which_to_use() -> None:
    answer = TestClient(make_app()).simulate_get("/submit")

    assert "POST" in answer.headers["Allow"]


def test_error_of_ours_says_nothing_to_clients() -> None:
    answer = TestClient(make_app()).simulate_get("/__broken__")

    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.text == ""


def test_error_of_ours_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    assert isinstance(app.crashmover.crashstorage, Storage)
    app.crashmover.crashstorage.fails = lambda _: RuntimeError("a bug")
    caplog.clear()

    assert post_report(app).status_code == 500
    losing, error = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert losing.getMessage().startswith("crashes are being lost")
    assert error.exc_info
    assert error.exc_info[0] is RuntimeError


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BREAKPAD_MAX_PAYLOAD_SIZE", "0", "a size"),
        ("BREAKPAD_MAX_DECOMPRESSED_SIZE", "-1", "a size"),
        ("GUNICORN_WORKERS", "many", "an integer"),
        ("BREAKPAD_BODY_TIMEOUT", "0", "a duration"),
        ("BREAKPAD_DUMP_CHECKSUM_ALGORITHM", "crc32", "the name of a hash"),
        ("BREAKPAD_DUMP_CHECKSUM_ALGORITHM", "shake_128", "the name of a hash"),
        ("BREAKPAD_TEMP_DIR", "/dev/null/x", "write there"),
        ("BREAKPAD_THROTTLER_RULES", "antenna.throttler.ACCEPT", "a list of antenna.throttler.Rule"),
        ("BREAKPAD_THROTTLER_PRODUCTS", "antenna.throttler.Rule", "a list of product names"),
        ("CRASHMOVER_CRASHSTORAGE_CLASS", "antenna.ext", "a class derived from antenna.ext.crash"),
        ("CRASHMOVER_CRASHPUBLISH_CLASS", "no.such.module.Class", "a class derived from antenna.ext.crash"),
        ("CRASHMOVER_MAX_ATTEMPTS", "0", "an integer, at least 1"),
        ("CRASHMOVER_RETRY_SLEEP_SECONDS", "-1", "a duration"),
        ("CRASHMOVER_SAVE_TIMEOUT", "later", "a duration"),
        ("CRASHMOVER_PUBLISH_TIMEOUT", "-1s", "a duration"),
        ("CRASHMOVER_SPOOL_MAX_SIZE", "big", "a size"),
        ("LOGGING_LEVEL", "LOUD", "one of DEBUG"),
        ("STATSD_PORT", "70000", "an integer, from 1 to 65535"),
        ("LOCAL_DEV_ENV", "perhaps", "true or false"),
    ],
)
def test_bad_value_is_named_with_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_app(**{name: value})

    message = str(raised.value)
    assert message.startswith(f"{name} has a bad value '{value}'")
    assert expected in message


@pytest.mark.parametrize("storage", ["gcs.crashstorage.GcsCrashStorage", "fs.crashstorage.FSCrashStorage"])
def test_option_that_is_missing_is_named(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")

    with pytest.raises(ConfigurationError, match=r"CRASHMOVER_CRASHSTORAGE_(BUCKET_NAME|FS_ROOT) is not set"):
        make_app(CRASHMOVER_CRASHSTORAGE_CLASS=f"antenna.ext.{storage}")


@pytest.mark.parametrize("spool", ["", "spool"])
def test_running_configuration_is_logged_without_secrets(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, spool: str
) -> None:
    spool_dir = spool and str(tmp_path / spool)
    caplog.set_level(logging.INFO, "antenna")
    make_app(
        BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN="hush",
        SECRET_SENTRY_DSN="https://hush@sentry.example.com/1",
        GUNICORN_WORKERS="3",
        BREAKPAD_MAX_PAYLOAD_SIZE="20MiB",
        CRASHMOVER_SPOOL_DIR=spool_dir,
    )

    assert "hush" not in caplog.text
    assert {
        "configuration: BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=*****",
        "configuration: SECRET_SENTRY_DSN=*****",
        "configuration: GUNICORN_WORKERS=3",
        "configuration: BREAKPAD_MAX_PAYLOAD_SIZE=20MiB",
        "configuration: BREAKPAD_DUMP_CHECKSUM_ALGORITHM=md5",
        "configuration: BREAKPAD_THROTTLER_RULES=antenna.throttler.MOZILLA_RULES",
        "configuration: CRASHMOVER_CRASHSTORAGE_CLASS=tests.support.backends.Storage",
        f"configuration: CRASHMOVER_SPOOL_DIR={spool_dir}",
        "configuration: CRASHMOVER_SPOOL_MAX_SIZE=10GiB",
        f"configuration: CRASHMOVER_SAVE_TIMEOUT={'5s' if spool else '30s'}",
        f"configuration: CRASHMOVER_PUBLISH_TIMEOUT={'2s' if spool else '10s'}",
    } <= set(caplog.messages)


def test_local_environment_logs_its_configuration_with_debug_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "antenna")
    make_app(LOCAL_DEV_ENV="true", LOGGING_LEVEL="DEBUG")

    levels = {record.levelno for record in caplog.records if record.getMessage().startswith("configuration: ")}
    assert levels == {logging.DEBUG}


def test_option_that_was_removed_is_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    build_app(ENVIRONMENT | dict.fromkeys(REMOVED_OPTIONS, "1"))

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{name} is set, and there is no such option any more: {instead}" for name, instead in REMOVED_OPTIONS.items()
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATSD_PORT", "tcp://10.96.0.12:8125"),
        ("STATSD_PORT", "udp://[fd00::c]:8125"),
        ("PORT", "TCP://10.0.0.1:1\n"),
        ("ADMIN_PORT", "tcp://10.96.0.12:8125"),
        ("GUNICORN_WORKERS", "tcp://10.96.0.12:8125"),
        ("CRASHMOVER_MAX_ATTEMPTS", "tcp://10.96.0.12:8125"),
    ],
)
def test_service_link_of_the_platform_is_no_option(caplog: pytest.LogCaptureFixture, name: str, value: str) -> None:
    others = {"STATSD_SERVICE_HOST": "10.96.0.12", "STATSD_PORT_8125_TCP": "tcp://10.96.0.12:8125"}
    build_app(ENVIRONMENT | others | {name: value})

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{name}={value.strip()} is ignored: Kubernetes sets it for a service of that name"
    ]


@pytest.mark.parametrize("with_spool", [False, True])
def test_heartbeat_checks_what_there_is(with_spool: bool, tmp_path: Path) -> None:
    app = make_app(**({"CRASHMOVER_SPOOL_DIR": str(tmp_path)} if with_spool else {}))

    assert set(app.crashmover.health_checks()) == {"storage", "publish"} | ({"spool"} if with_spool else set())
