# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Dockerflow's endpoints: is the process there, can it do its work, which version is it.

https://github.com/mozilla-services/Dockerflow
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import NoReturn

import falcon
import markus

from antenna.ops.version import read_version

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("health")

# How long a check may take, in seconds. Load balancers wait longer: 5 s is the shortest default of the common ones.
CHECK_TIMEOUT = 5.0

Check = Callable[[], None]


class VersionResource:
    """``/__version__``: the contents of ``version.json``."""

    def __init__(self, basedir: Path) -> None:
        self.version = read_version(basedir)

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
    """``/__heartbeat__``: runs ``checks`` side by side, by their names. A check raises to say that and why it fails."""

    def __init__(self, checks: Mapping[str, Check], timeout: float = CHECK_TIMEOUT) -> None:
        self._checks = {name: _CheckRunner(check, timeout) for name, check in checks.items()}
        self._failing: list[str] = []

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the errors as ``<name of the check>: <reason>``."""
        metrics.incr("heartbeat.count")
        runs = {name: runner.start() for name, runner in self._checks.items()}
        errors = []
        for name, run in runs.items():
            reason = run.failure()
            if reason:
                metrics.incr("heartbeat.failed", tags=[f"check:{name}"])
                errors.append(f"{name}: {reason}")
        failing = [error.partition(":")[0] for error in errors]
        if failing != self._failing:
            self._failing = failing
            logger.warning("heartbeat: %s", "; ".join(errors) or "all is well again")
        if errors:
            resp.status = falcon.HTTP_503
        _answer(resp, {"errors": errors})

    on_head = on_get


class BrokenResource:
    """``/__broken__``: raises, to test that errors are reported."""

    def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> NoReturn:
        """Raise ``BrokenError``."""
        metrics.incr("broken.count")
        raise BrokenError("/__broken__ was asked for")


class BrokenError(Exception):
    """Nothing is broken: somebody tests the reporting of errors."""


class _CheckRunner:
    """Runs a check once at a time: heartbeats that come while it runs, or hangs, wait for that same run."""

    def __init__(self, check: Check, timeout: float) -> None:
        self._check = check
        self._timeout = timeout
        self._run: _Run | None = None

    def start(self) -> "_Run":
        run = self._run
        if run is None or run.outcome.done():
            run = self._run = _Run(self._timeout)
            # Under gevent's monkey-patching a thread is a greenlet.
            threading.Thread(target=run.execute, args=(self._check,), daemon=True).start()
        return run


class _Run:
    def __init__(self, timeout: float) -> None:
        self.outcome: Future[None] = Future()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def execute(self, check: Check) -> None:
        try:
            check()
        # gevent's time-outs are BaseExceptions.
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the one who waits is told
            self.outcome.set_exception(exc)
        else:
            self.outcome.set_result(None)

    def failure(self) -> str:
        """Wait for the end or the deadline; return why it failed, or nothing."""
        wait([self.outcome], timeout=max(0.0, self._deadline - time.monotonic()))
        if not self.outcome.done():
            return f"no answer within {self._timeout:g} s"
        error = self.outcome.exception()
        return "" if error is None else str(error) or type(error).__name__


def _answer(resp: falcon.Response, media: object) -> None:
    resp.cache_control = ["no-store"]
    resp.media = media
