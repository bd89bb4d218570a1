# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Dockerflow's endpoints: is the process there, can it do its work, which version is it.

https://github.com/mozilla-services/Dockerflow
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import falcon
import gevent
import markus

from antenna.backend import NoAnswer
from antenna.ops.errors import describe
from antenna.ops.instance import Instance

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("health")

# How long a check may take, in seconds. Load balancers wait longer: 5 s is the shortest default of the common ones.
CHECK_TIMEOUT = 5.0

Check = Callable[[], object]

_OK, _WARNING, _ERROR = logging.NOTSET, logging.WARNING, logging.ERROR
_STATUS = {_OK: "ok", _WARNING: "warning", _ERROR: "error"}


class HealthCheck:
    """A check that runs once at a time: who asks while it runs, or hangs, waits for that same run."""

    def __init__(self, name: str, check: Check, *, is_warning: bool = False, timeout: float = CHECK_TIMEOUT) -> None:
        """``check`` raises to say that and why it fails. ``is_warning``: that is no reason to call anybody."""
        self.name = name
        self.level = _WARNING if is_warning else _ERROR
        self._check = check
        self._timeout = timeout
        self._run: _Run | None = None

    def start(self) -> "_Run":
        """Begin, unless it runs; return the run."""
        if self._run is None or self._run.has_ended:
            self._run = _Run(self._check, self._timeout)
        return self._run

    def error(self) -> BaseException | None:
        """Run the check; return why it failed."""
        return self.start().error()


class _Run:
    """One run of a check, with a deadline of its own."""

    def __init__(self, check: Check, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._greenlet = gevent.spawn(_error_of, check)

    @property
    def has_ended(self) -> bool:
        """Whether it is over, be it after the deadline."""
        return self._greenlet.ready()

    def error(self) -> BaseException | None:
        """Wait for the end or the deadline; return why it failed."""
        self._greenlet.join(max(0.0, self._deadline - time.monotonic()))
        return self._greenlet.value if self.has_ended else NoAnswer(f"no answer within {self._timeout:g} s")


def _error_of(check: Check) -> BaseException | None:
    try:
        check()
    # gevent's time-outs are BaseExceptions.
    except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits is told
        return error
    return None


class VersionResource:
    """``/__version__``: the contents of ``version.json``."""

    def __init__(self, version: dict[str, Any]) -> None:
        self.version = version

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the version object, ``{}`` without one."""
        metrics.incr("version.count")
        _answer(resp, self.version)

    on_head = on_get


class LBHeartbeatResource:
    """``/__lbheartbeat__``: for load balancers. Touches nothing, so it answers while everything else hangs."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        metrics.incr("lbheartbeat.count")
        _answer(resp, {})

    on_head = on_get


class HeartbeatResource:
    """``/__heartbeat__``: runs the checks side by side, and says what came of each."""

    def __init__(
        self,
        checks: Sequence[HealthCheck],
        instance: Instance | None = None,
        rules: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        """``instance`` knows since when each check has had the same outcome, in any worker; ``rules`` which decide."""
        self._checks = checks
        self._instance = instance or Instance(workers=1)
        self._rules = rules

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the errors as ``<name of the check>: <reason>``. A warning is no error."""
        metrics.incr("heartbeat.count")
        runs = [(check, check.start()) for check in self._checks]
        outcomes = {check.name: self._outcome(check, run.error()) for check, run in runs}
        errors = [f"{name}: {outcome['message']}" for name, outcome in outcomes.items() if outcome["status"] == "error"]
        if errors:
            resp.status = falcon.HTTP_503
        rules = {} if self._rules is None else {"rules": self._rules()}
        _answer(resp, {"errors": errors, "checks": outcomes, **rules})

    on_head = on_get

    def _outcome(self, check: HealthCheck, error: BaseException | None) -> dict[str, str | int]:
        """Return the status of a check, since when it has been so, its level and what is wrong."""
        reason = "" if error is None else describe(error)
        level = check.level if reason else _OK
        is_news, since = self._instance.check_ended(check.name, level)
        outcome: dict[str, str | int] = {"status": _STATUS[level], "since": _iso(since), "level": level}
        if reason:
            metrics.incr("heartbeat.failed", tags=[f"check:{check.name}"])
            outcome["message"] = reason
        if is_news:
            message = reason or "all is well again"
            logger.warning("heartbeat: %s: %s", check.name, message, extra={"event": "heartbeat"})
        return outcome


class ReadyResource:
    """``/__ready__``: whether clients should be sent here. It asks nobody: it says what crashes have found out."""

    def __init__(self, could_keep_a_crash: Callable[[], bool]) -> None:
        self._could_keep_a_crash = could_keep_a_crash

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200; 503 only while a crash could be kept nowhere."""
        metrics.incr("ready.count")
        ready = self._could_keep_a_crash()
        if not ready:
            resp.status = falcon.HTTP_503
        _answer(resp, {"ready": ready})

    on_head = on_get


class BrokenResource:
    """``/__broken__``: raises, to test that errors are reported."""

    def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        """Raise ``BrokenError``."""
        metrics.incr("broken.count")
        raise BrokenError("/__broken__ was asked for")


class BrokenError(Exception):
    """Nothing is broken: somebody tests the reporting of errors."""


def _answer(resp: falcon.Response, media: object) -> None:
    resp.cache_control = ["no-store"]
    resp.media = media


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
