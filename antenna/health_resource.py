# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Dockerflow's endpoints: whether the process runs, whether it can do its work, and which version it is.

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

# Seconds that a check may take. Load balancers wait longer: the shortest default of the common ones is 5 s.
CHECK_TIMEOUT = 5.0

Check = Callable[[], object]

_OK, _WARNING, _ERROR = logging.NOTSET, logging.WARNING, logging.ERROR
_STATUS = {_OK: "ok", _WARNING: "warning", _ERROR: "error"}


class HealthCheck:
    """A check that runs once at a time. A caller that comes while it runs, or hangs, waits for that run."""

    def __init__(self, name: str, check: Check, *, is_warning: bool = False, timeout: float = CHECK_TIMEOUT) -> None:
        """``check`` raises an exception if it fails. ``is_warning``: a failure is no reason to alert anybody."""
        self.name = name
        self.level = _WARNING if is_warning else _ERROR
        self._check = check
        self._timeout = timeout
        self._run: _Run | None = None

    def start(self) -> "_Run":
        """Start the check, unless it is running. Returns the run."""
        if self._run is None or self._run.has_ended:
            self._run = _Run(self._check, self._timeout)
        return self._run

    def error(self) -> BaseException | None:
        """Run the check. Returns the exception, or None if the check passed."""
        return self.start().error()


class _Run:
    """One run of a check, with its own deadline."""

    def __init__(self, check: Check, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._greenlet = gevent.spawn(_error_of, check)

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, before or after its deadline."""
        return self._greenlet.ready()

    def error(self) -> BaseException | None:
        """Wait for the end or the deadline. Returns the exception, or None if the check passed."""
        self._greenlet.join(max(0.0, self._deadline - time.monotonic()))
        return self._greenlet.value if self.has_ended else NoAnswer(f"no answer within {self._timeout:g} s")


def _error_of(check: Check) -> BaseException | None:
    try:
        check()
    # The time-outs of gevent are BaseExceptions.
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller that waits is told
        return error
    return None


class VersionResource:
    """``/__version__``: the content of ``version.json``."""

    def __init__(self, version: dict[str, Any]) -> None:
        self.version = version

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the version, or with ``{}`` if there is no ``version.json``."""
        metrics.incr("version.count")
        _answer(resp, self.version)

    on_head = on_get


class LBHeartbeatResource:
    """``/__lbheartbeat__``: for load balancers. It uses nothing else, so it answers while everything else hangs."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with 200."""
        metrics.incr("lbheartbeat.count")
        _answer(resp, {})

    on_head = on_get


class HeartbeatResource:
    """``/__heartbeat__``: runs all checks at the same time, and reports the result of each."""

    def __init__(
        self,
        checks: Sequence[HealthCheck],
        instance: Instance | None = None,
        rules: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        """``instance`` knows since when each check has had its result, in any worker.

        ``rules`` returns the rules' name.
        """
        self._checks = checks
        self._instance = instance or Instance(workers=1)
        self._rules = rules

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with 200, or with 503 and the errors as ``<name of the check>: <reason>``.

        A warning is not an error.
        """
        metrics.incr("heartbeat.count")
        runs = [(check, check.start()) for check in self._checks]
        reports = {check.name: self._report(check, run.error()) for check, run in runs}
        errors = [f"{name}: {report['message']}" for name, report in reports.items() if report["status"] == "error"]
        if errors:
            resp.status = falcon.HTTP_503
        rules = {} if self._rules is None else {"rules": self._rules()}
        _answer(resp, {"errors": errors, "checks": reports, **rules})

    on_head = on_get

    def _report(self, check: HealthCheck, error: BaseException | None) -> dict[str, str | int]:
        """Return the status of a check, since when it has had it, its level, and what is wrong."""
        reason = "" if error is None else describe(error)
        level = check.level if reason else _OK
        is_news, since = self._instance.check_ended(check.name, level)
        report: dict[str, str | int] = {"status": _STATUS[level], "since": _iso(since), "level": level}
        if reason:
            metrics.incr("heartbeat.failed", tags=[f"check:{check.name}"])
            report["message"] = reason
        if is_news:
            message = reason or "all is well again"
            logger.warning("heartbeat: %s: %s", check.name, message, extra={"event": "heartbeat"})
        return report


class ReadyResource:
    """``/__ready__``: whether clients should be sent here.

    It runs no check, and reports what crashes have found out.
    """

    def __init__(self, could_keep_a_crash: Callable[[], bool]) -> None:
        self._could_keep_a_crash = could_keep_a_crash

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with 200, or with 503 while a crash could be kept nowhere."""
        metrics.incr("ready.count")
        ready = self._could_keep_a_crash()
        if not ready:
            resp.status = falcon.HTTP_503
        _answer(resp, {"ready": ready})

    on_head = on_get


class BrokenResource:
    """``/__broken__``: raises an error, to test that errors are reported."""

    def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        """Raise ``BrokenError``."""
        metrics.incr("broken.count")
        raise BrokenError("/__broken__ was asked for")


class BrokenError(Exception):
    """The error of ``/__broken__``, by which somebody tests that errors are reported. Nothing is broken."""


def _answer(resp: falcon.Response, media: object) -> None:
    resp.cache_control = ["no-store"]
    resp.media = media


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
