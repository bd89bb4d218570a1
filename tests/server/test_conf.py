# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gunicorn runs with what the environment says, and ends when the first workers cannot do their work."""

import inspect
import json
import logging
import runpy
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import make_settings

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError
from tests.support.server import PROJECT_ROOT

# Mozlog's severities are those of syslog (RFC 5424 section 6.2.1).
SYSLOG_CRITICAL = 2

OPTIONS = ("PORT", "GUNICORN_WORKERS", "GUNICORN_WORKER_CLASS", "GUNICORN_WORKER_CONNECTIONS", "GUNICORN_MAX_REQUESTS")


@pytest.fixture(autouse=True)
def no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of who runs the tests do not count."""
    for name in OPTIONS:
        monkeypatch.delenv(name, raising=False)


def load() -> dict[str, Any]:
    """Run the file as gunicorn does, and return what it defines."""
    return runpy.run_path(str(PROJECT_ROOT / "antenna" / "server" / "conf.py"))


@pytest.mark.parametrize(
    ("option", "value", "setting", "expected"),
    [
        ("PORT", None, "bind", ["0.0.0.0:8000"]),
        ("PORT", "8123", "bind", ["0.0.0.0:8123"]),
        ("ADMIN_PORT", "8124", "bind", ["0.0.0.0:8000", "0.0.0.0:8124"]),
        ("GUNICORN_WORKERS", None, "workers", 1),
        ("GUNICORN_WORKERS", "4", "workers", 4),
        ("GUNICORN_WORKER_CLASS", None, "worker_class", "antenna.server.worker.AntennaWorker"),
        ("GUNICORN_WORKER_CLASS", "gevent", "worker_class", "antenna.server.worker.AntennaWorker"),
        ("GUNICORN_WORKER_CLASS", "sync", "worker_class", "antenna.server.worker.AntennaWorker"),
        ("GUNICORN_WORKER_CONNECTIONS", "7", "worker_connections", 7),
        ("GUNICORN_MAX_REQUESTS", None, "max_requests", 0),
        ("GUNICORN_MAX_REQUESTS", "100", "max_requests", 100),
        ("GUNICORN_MAX_REQUESTS_JITTER", "10", "max_requests_jitter", 10),
        ("GUNICORN_KEEPALIVE", None, "keepalive", 75),
        ("GUNICORN_KEEPALIVE", "90500ms", "keepalive", 91),
        ("GUNICORN_GRACEFUL_TIMEOUT", "2m", "graceful_timeout", 120),
    ],
)
def test_settings(
    monkeypatch: pytest.MonkeyPatch, option: str, value: str | None, setting: str, expected: object
) -> None:
    if value is not None:
        monkeypatch.setenv(option, value)

    assert load()[setting] == expected


def test_gunicorn_knows_the_settings() -> None:
    settings = make_settings()
    defined = {name: value for name, value in load().items() if name.islower() and not name.startswith("_")}
    ours = {name for name in defined if name in settings}

    assert {"bind", "workers", "worker_class", "keepalive", "timeout", "logger_class", "pre_request"} <= ours
    # The rest is what the file imports: modules, and functions of others.
    for name in defined.keys() - ours:
        assert inspect.ismodule(defined[name]) or defined[name].__module__ != defined["pre_request"].__module__, name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("GUNICORN_WORKERS", "0"),
        ("GUNICORN_WORKER_CLASS", "gevents"),
        ("LOGGING_LEVEL", "LOUD"),
    ],
)
def test_bad_value_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    monkeypatch.setenv(option, value)

    with pytest.raises(SystemExit) as raised:
        load()

    assert raised.value.code == Arbiter.WORKER_BOOT_ERROR
    record = json.loads(capsys.readouterr().out)
    assert record["Severity"] == SYSLOG_CRITICAL
    assert record["Fields"]["msg"].startswith(f"cannot start: {option} has a bad value '{value}': expected ")


class Application:
    """An application whose backends are in this state."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[str] = []
        self._error = error

    def verify(self) -> None:
        self.done.append("verify")
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        self.done.append("start")

    def stop(self, seconds: float) -> None:
        self.done.append(f"stop within {seconds:g} s")


def worker(application: Application, age: int) -> SimpleNamespace:
    """Return the worker that was the ``age``th to be started, of a server with two."""
    return SimpleNamespace(age=age, cfg=SimpleNamespace(workers=2), wsgi=application)


@pytest.mark.parametrize(("age", "done"), [(1, ["verify", "start"]), (2, ["verify", "start"]), (3, ["start"])])
def test_first_workers_prove_that_the_backends_are_there(age: int, done: list[str]) -> None:
    application = Application()
    load()["post_worker_init"](worker(application, age))

    assert application.done == done


@pytest.mark.parametrize("error", [BackendConfigurationError("no bucket"), BackendError("away"), BackendDenied("no")])
def test_server_ends_when_they_are_not(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    application = Application(error)

    with pytest.raises(SystemExit) as raised:
        load()["post_worker_init"](worker(application, 1))

    assert raised.value.code == Arbiter.WORKER_BOOT_ERROR
    assert application.done == ["verify"]
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage() == f"cannot start: {error}"


def test_replaced_workers_serve_also_when_they_are_not() -> None:
    application = Application(BackendError("away"))
    load()["post_worker_init"](worker(application, 3))

    assert application.done == ["start"]


def test_work_in_the_background_ends_with_the_worker() -> None:
    application = Application()
    load()["worker_exit"](None, worker(application, 1))
    # One that never came to load the application.
    load()["worker_exit"](None, SimpleNamespace(age=1))

    assert application.done == ["stop within 3 s"]


def test_another_server_beside_this_one_is_started_as_this_one_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/there/gunicorn/__main__.py", "-c", "python:conf", "antenna.wsgi:application"])
    monkeypatch.setattr("gunicorn.http.parser.RequestParser.mesg_class", None)
    server = SimpleNamespace(START_CTX={0: sys.executable, "args": sys.argv}, stop=lambda _: None)

    load()["on_starting"](server)

    arguments = ["-m", "gunicorn", "-c", "python:conf", "antenna.wsgi:application"]
    assert server.START_CTX["args"] == [sys.executable, *arguments]
