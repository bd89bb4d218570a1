# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Logs are one record a line on stdout. No text of a client can look like a record."""

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from antenna.backend import BackendError
from antenna.config import AppConfig, build_config
from antenna.ops.logs import escape, set_up_logging
from antenna.ops.request_id import begin_request, end_request, request_id

logger = logging.getLogger("antenna.test")

FORGERIES = [
    "\nERROR antenna: forged",
    '\r\n{"Timestamp": 1, "Type": "forged"}',
    '"}\n{"forged": 1}',
    "\x1b[2K\x1b[1Gforged",
    "\x00\x07\x08\x7f",
    "line\u2028separator\u2029\x85\x0b\x0c",
    "left-to-right\u202eoverride",
    "lone \ud800 surrogate",
]

SetUp = Callable[..., Callable[[], list[str]]]


@pytest.fixture
def set_up(capsys: pytest.CaptureFixture[str]) -> Iterator[SetUp]:
    """Set up logging with an environment. Returns a function that returns the lines since then."""
    root, antenna = logging.getLogger(), logging.getLogger("antenna")
    before = (root.handlers[:], root.level, antenna.level, logging.raiseExceptions)

    def set_up_with(**environ: str) -> Callable[[], list[str]]:
        for handler in before[0]:  # pytest's put what is logged into a report that cannot hold all of it
            root.removeHandler(handler)
        set_up_logging(AppConfig(build_config({"HOSTNAME": "antenna-7"} | environ)))
        # splitlines() is not used, because it also splits at characters at which no log reader does.
        return lambda: capsys.readouterr().out.split("\n")[:-1]

    yield set_up_with
    root.handlers[:], root.level, antenna.level, logging.raiseExceptions = before
    logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001 - levels were set behind its back


def fail(message: str) -> None:
    raise ValueError(message)


def only(lines: list[str]) -> Any:
    assert len(lines) == 1, lines
    return json.loads(lines[0])


def test_production_logs_mozlog(set_up: SetUp) -> None:
    end_request()
    logged = set_up()

    logger.info("%s saved", "de1bb258-cbbf-4589-a673-34f800160918")

    record = only(logged())
    assert record["EnvVersion"] == "2.0"
    assert record["Logger"] == "antenna"
    assert record["Type"] == "antenna.test"
    assert record["Hostname"] == "antenna-7"
    assert record["Severity"] == 6
    assert record["Fields"] == {
        "msg": "de1bb258-cbbf-4589-a673-34f800160918 saved",
        "host_id": "antenna-7",
        "processname": "antenna",
    }


def test_local_environment_logs_readable_lines(set_up: SetUp) -> None:
    logged = set_up(LOCAL_DEV_ENV="true")

    logger.warning("%s saved", "de1bb258-cbbf-4589-a673-34f800160918")

    (line,) = logged()
    assert line.endswith(" WARNING  antenna.test: de1bb258-cbbf-4589-a673-34f800160918 saved")


@pytest.mark.parametrize("name", ["markus", "gunicorn.error"])
@pytest.mark.parametrize(
    ("environment", "count"),
    [({}, 2), ({"LOCAL_DEV_ENV": "true"}, 1), ({"LOCAL_DEV_ENV": "true", "LOGGING_LEVEL": "DEBUG"}, 2)],
)
def test_local_environment_is_quiet_about_metrics_and_the_server(
    set_up: SetUp, name: str, environment: dict[str, str], count: int
) -> None:
    logged = set_up(**environment)

    logging.getLogger(name).info("METRICS|gauge|instance.workers|1|")
    logging.getLogger(name).warning("a warning")

    assert len(logged()) == count


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("local", ["true", "false"])
def test_message_stays_in_its_line(set_up: SetUp, local: str, forgery: str) -> None:
    logged = set_up(LOCAL_DEV_ENV=local)

    logger.info("product %s", forgery)

    (line,) = logged()
    assert line.isprintable()
    if local == "false":
        assert json.loads(line)["Fields"]["msg"] == f"product {forgery}"


@pytest.mark.parametrize("text", ["plain", "ünïcödé 日本", "%s %d {}", "a\\b"])
def test_printable_text_is_logged_as_it_is(text: str) -> None:
    assert escape(text) == text


def test_traceback_is_one_mozlog_record(set_up: SetUp) -> None:
    logged = set_up()

    try:
        fail(FORGERIES[0])
    except ValueError:
        logger.exception("it broke")

    record = only(logged())
    assert record["Severity"] == 3
    assert record["Fields"]["msg"] == "it broke"
    assert "ValueError" in record["Fields"]["traceback"]
    assert __file__ in record["Fields"]["traceback"]


def test_lines_of_a_readable_traceback_cannot_pass_for_records(set_up: SetUp) -> None:
    logged = set_up(LOCAL_DEV_ENV="true")

    try:
        fail("".join(FORGERIES))
    except ValueError:
        logger.exception("it broke")

    first, *rest = logged()
    assert first.endswith("antenna.test: it broke")
    assert any("ValueError" in line for line in rest)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize(
    ("level", "name", "record_level", "is_logged"),
    [
        ("INFO", "antenna.test", "INFO", True),
        ("INFO", "antenna.test", "DEBUG", False),
        ("DEBUG", "antenna.test", "DEBUG", True),
        ("WARNING", "antenna.test", "INFO", False),
        ("WARNING", "google.auth", "INFO", False),
        ("INFO", "google.auth", "INFO", True),
        # urllib3 would warn of each of hundreds of connections, or of each of five attempts.
        ("INFO", "urllib3.connectionpool", "WARNING", False),
        ("INFO", "google.auth.compute_engine._metadata", "WARNING", False),
        ("INFO", "google.auth.compute_engine._metadata", "ERROR", True),
        # Debug records of libraries show secrets.
        ("DEBUG", "everett", "DEBUG", False),
        ("DEBUG", "gunicorn.error", "DEBUG", False),
        ("DEBUG", "gunicorn.error", "INFO", True),
    ],
)
def test_level(set_up: SetUp, level: str, name: str, record_level: str, *, is_logged: bool) -> None:
    logged = set_up(LOGGING_LEVEL=level)

    logging.getLogger(name).log(logging.getLevelNamesMapping()[record_level], "message")

    assert len(logged()) == is_logged


def test_secrets_do_not_get_into_the_log_when_options_are_read(set_up: SetUp) -> None:
    logged = set_up(LOGGING_LEVEL="DEBUG")

    AppConfig(build_config({"SECRET_SENTRY_DSN": "https://hunter2@host/1"}))

    assert "hunter2" not in "\n".join(logged())


def test_second_set_up_replaces_the_first_and_leaves_handlers_of_others(set_up: SetUp) -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    set_up()
    logged = set_up(LOCAL_DEV_ENV="true")

    logger.info("once")

    assert len(logged()) == 1
    assert other in logging.getLogger().handlers


def test_record_that_cannot_be_formatted_shows_nothing_of_its_values(
    set_up: SetUp, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up()

    logger.info("%d bytes", "an annotation")

    assert capsys.readouterr() == ("", "")


def test_errors_that_end_threads_and_greenlets_are_records() -> None:
    program = """
import threading, gevent
from antenna.backend import BackendError
from antenna.config import AppConfig, build_config
from antenna.ops.logs import log_unhandled_errors, set_up_logging

set_up_logging(AppConfig(build_config({})))
log_unhandled_errors()
gevent.spawn(lambda: 1 / 0).join()
thread = threading.Thread(target=lambda: {}["missing"])
thread.start()
thread.join()
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    assert process.stderr == ""
    in_greenlet, in_thread = (json.loads(line)["Fields"] for line in process.stdout.splitlines())
    assert in_greenlet["msg"] == "unhandled error in a greenlet"
    assert "ZeroDivisionError" in in_greenlet["traceback"]
    assert in_thread["msg"] == "unhandled error in a thread"
    assert "KeyError" in in_thread["traceback"]


def test_fields_of_a_record(set_up: SetUp) -> None:
    logged = set_up()

    begin_request("id-of-the-gateway")
    logger.info("saved", extra={"event": "saved", "bytes": 7, "flood": "saved", "tell_sentry": False})

    fields = only(logged())["Fields"]
    assert fields == {
        "msg": "saved",
        "event": "saved",
        "bytes": 7,
        "host_id": "antenna-7",
        "processname": "antenna",
        "request_id": "id-of-the-gateway",
    }


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\n", "\N{LATIN SMALL LETTER E WITH ACUTE}", "<script>"])
def test_request_without_a_good_id_gets_one(given: str | None) -> None:
    begin_request(given)

    assert re.fullmatch(r"[0-9a-f]{16}", request_id() or "")


@pytest.mark.parametrize("local", ["true", "false"])
@pytest.mark.parametrize("error", [ValueError("hunter2"), BackendError("hunter2"), OSError(5, "hunter2", "/hunter2")])
def test_error_of_code_that_is_not_ours_is_its_type_and_place(set_up: SetUp, local: str, error: Exception) -> None:
    logged = set_up(LOCAL_DEV_ENV=local)

    try:
        fail_with(error)
    except RuntimeError:
        logger.exception("it broke")

    lines = "\n".join(logged())
    assert "hunter2" not in lines
    assert type(error).__name__ in lines
    assert "test_logs.py" in lines


def fail_with(error: Exception) -> None:
    """Fail like a storage of another author, which has ``error`` from its library."""

    def fail_below() -> NoReturn:
        raise error

    message = str(error)
    try:
        fail_below()
    except Exception as caught:
        raise RuntimeError(message) from caught


def test_error_is_logged_once_a_minute_for_its_type_and_place(set_up: SetUp) -> None:
    logged = set_up()

    for message in ("first", "second"):
        for error in (KeyError, ValueError):
            try:
                raise error(message)
            except (KeyError, ValueError):
                logger.exception("it broke")

    assert [json.loads(line)["Fields"]["error"].partition(" at ")[0] for line in logged()] == ["KeyError", "ValueError"]


def test_flood_of_a_kind_is_summed_up(set_up: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antenna.ops.floods._SUM_UP_AFTER", 0.2)
    logged = set_up()

    for number in range(50):
        logger.info("refused: %d", number, extra={"flood": "refused"})
        logger.info("saved: %d", number)
    time.sleep(0.5)

    messages = [json.loads(line)["Fields"]["msg"] for line in logged()]
    assert [message for message in messages if message.startswith("refused")] == [
        *(f"refused: {number}" for number in range(10)),
        "refused: 40 more lines like this were left out",
    ]
    assert len([message for message in messages if message.startswith("saved")]) == 50


def test_record_of_a_kind_that_is_enough_once_is_logged_once(set_up: SetUp) -> None:
    logged = set_up()

    for _ in range(20):
        logger.warning("rule raised", extra={"once": "rule raised"})
        logger.warning("another rule raised", extra={"once": "another rule raised"})

    fields = [json.loads(line)["Fields"] for line in logged()]
    assert [record["msg"] for record in fields] == ["rule raised", "another rule raised"]
    assert "once" not in fields[0]
