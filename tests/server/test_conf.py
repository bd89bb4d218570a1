# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gunicorn runs with the options of the environment, and ends if the first workers cannot do their work."""

import gc
import inspect
import json
import logging
import os
import re
import runpy
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.config import make_settings

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, Problem
from antenna.config import ConfigurationError
from antenna.ops.instance import Instance, Row
from tests.support.server import PROJECT_ROOT

# Mozlog's severities are those of syslog (RFC 5424 section 6.2.1).
SYSLOG_CRITICAL = 2

BOOT_ERROR = GunicornArbiter.WORKER_BOOT_ERROR

OPTIONS = (
    "LISTEN_ADDRESS",
    "PORT",
    "GUNICORN_WORKERS",
    "GUNICORN_WORKER_CLASS",
    "GUNICORN_WORKER_CONNECTIONS",
    "GUNICORN_MAX_REQUESTS",
)


@pytest.fixture(autouse=True)
def no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the options from the environment of the tests, because they would have an effect."""
    for name in OPTIONS:
        monkeypatch.delenv(name, raising=False)


def load() -> dict[str, Any]:
    """Run the file as gunicorn does, and return what it defines."""
    return runpy.run_path(str(PROJECT_ROOT / "antenna" / "server" / "conf.py"))


@pytest.mark.parametrize(
    ("option", "value", "setting", "expected"),
    [
        ("PORT", None, "bind", ["0.0.0.0:8000", "[::]:8000"]),
        ("PORT", "8123", "bind", ["0.0.0.0:8123", "[::]:8123"]),
        ("ADMIN_PORT", "8124", "bind", ["0.0.0.0:8000", "[::]:8000", "0.0.0.0:8124", "[::]:8124"]),
        ("LISTEN_ADDRESS", "127.0.0.1", "bind", ["127.0.0.1:8000"]),
        ("LISTEN_ADDRESS", "[::1]", "bind", ["[::1]:8000"]),
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
    # The result must be the same on a machine without IPv6.
    monkeypatch.setattr("antenna.server.addresses._has_family", lambda _: True)
    if value is not None:
        monkeypatch.setenv(option, value)

    assert load()[setting] == expected


def test_gunicorn_knows_the_settings() -> None:
    settings = make_settings()
    defined = {name: value for name, value in load().items() if name.islower() and not name.startswith("_")}
    ours = {name for name in defined if name in settings}

    assert {"bind", "workers", "worker_class", "keepalive", "timeout", "logger_class", "pre_request"} <= ours
    # The other names are modules and functions that the file imports.
    for name in defined.keys() - ours:
        assert inspect.ismodule(defined[name]) or defined[name].__module__ != defined["pre_request"].__module__, name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("LISTEN_ADDRESS", "127.0.0.1:80"),
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

    assert raised.value.code == BOOT_ERROR
    record = json.loads(capsys.readouterr().out)
    assert record["Severity"] == SYSLOG_CRITICAL
    assert record["Fields"]["msg"].startswith(f"cannot start: {option} has a bad value '{value}': expected ")


PROBLEMS = [Problem("storage", "status 403", is_denied=True)]


class Application:
    """An application whose backends are in this state."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[str] = []
        self._error = error

    def join(self, instance: Instance, row: Row) -> None:
        """Take part."""

    def verify(self) -> list[Problem]:
        self.done.append("verify")
        if self._error is not None:
            raise self._error
        return PROBLEMS

    def assume(self, problems: list[Problem]) -> None:
        assert problems == PROBLEMS
        self.done.append("assume")

    def start(self) -> None:
        self.done.append("start")

    def stop(self, seconds: float) -> None:
        self.done.append(f"stop within {seconds:g} s")


def worker(application: Application, age: int) -> SimpleNamespace:
    """Return a worker of a server that has two workers. Gunicorn counts its workers by ``age``, from 1."""
    instance = Instance(workers=1)
    return SimpleNamespace(
        age=age,
        ppid=os.getpid(),
        cfg=SimpleNamespace(workers=2),
        wsgi=application,
        instance=instance,
        row=instance.admit(),
        handle_exit=None,
    )


def test_first_worker_proves_that_the_backends_are_there_for_those_that_start_with_it() -> None:
    conf = load()
    applications = [Application() for _ in range(3)]
    for age, application in enumerate(applications, start=1):
        conf["post_worker_init"](worker(application, age))

    assert [application.done for application in applications] == [["verify", "start"], ["assume", "start"], ["start"]]


def test_worker_that_replaces_one_that_did_not_come_through_proves_it() -> None:
    application = Application()
    load()["post_worker_init"](worker(application, 3))

    assert application.done == ["verify", "start"]


def test_garbage_is_collected_as_soon_as_a_worker_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    conf = load()
    ours = worker(Application(), 1)
    try:
        conf["post_fork"](None, ours)
        assert not gc.isenabled()
        before = gc.get_freeze_count()
        conf["post_worker_init"](ours)

        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigurationError("no bucket"), "no bucket"),
        (
            BackendConfigurationError("secret", public_reason="no shelf"),
            "BackendConfigurationError at test_conf.py:{}: no shelf",
        ),
        (BackendError("secret"), "BackendError at test_conf.py:{}"),
        (BackendDenied("secret"), "BackendDenied at test_conf.py:{}"),
        (KeyError("secret"), "KeyError at test_conf.py:{}"),
    ],
)
def test_server_ends_when_they_are_not(caplog: pytest.LogCaptureFixture, error: Exception, said: str) -> None:
    application = Application(error)

    with pytest.raises(SystemExit) as raised:
        load()["post_worker_init"](worker(application, 1))

    assert raised.value.code == BOOT_ERROR
    assert application.done == ["verify"]
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert re.sub(r"py:\d+", "py:{}", record.getMessage()) == f"cannot start: {said}"
    assert bool(record.exc_info) == isinstance(error, KeyError)


def test_work_in_the_background_ends_with_the_worker() -> None:
    application = Application()
    load()["worker_exit"](None, worker(application, 1))
    # This worker ended before it loaded the application.
    load()["worker_exit"](None, SimpleNamespace(age=1))

    assert application.done == ["stop within 3 s"]


class Arbiter(SimpleNamespace):
    """The attributes of gunicorn's arbiter that are prepared for its workers."""

    def __init__(self, *address: tuple[str, int], master_pid: int = 0) -> None:
        cfg = SimpleNamespace(env_orig={})
        super().__init__(address=address, cfg=cfg, master_pid=master_pid, num_workers=1)
        self.START_CTX = {0: sys.executable, "args": sys.argv}

    def stop(self, graceful: bool = True) -> None: ...

    def reap_workers(self) -> None: ...


@pytest.fixture
def _arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/there/gunicorn/__main__.py", "-c", "python:conf", "antenna.wsgi:application"])
    monkeypatch.setattr("gunicorn.http.parser.RequestParser.mesg_class", None)
    monkeypatch.setenv("ANTENNA_SHARED_FILE", "")


@pytest.mark.usefixtures("_arguments")
def test_another_server_beside_this_one_is_started_as_this_one_was() -> None:
    server = Arbiter()

    load()["on_starting"](server)

    arguments = ["-m", "gunicorn", "-c", "python:conf", "antenna.wsgi:application"]
    assert server.START_CTX["args"] == [sys.executable, *arguments]


@pytest.mark.usefixtures("_arguments")
def test_port_that_is_taken_ends_the_start_unless_it_is_that_of_the_server_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("antenna.server.addresses.wait_until_free.__defaults__", (0.2,))
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = other.getsockname()
        load()["on_starting"](Arbiter(address, master_pid=1))

        with pytest.raises(SystemExit) as raised:
            load()["on_starting"](Arbiter(address))

    assert raised.value.code == BOOT_ERROR
    assert caplog.messages[-1] == (
        f"cannot start: cannot listen on 127.0.0.1, port {address[1]}: Address already in use: "
        "stop what listens there, or set another port"
    )
