# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reports errors to Sentry: what went wrong and where in the code, but nothing that a client sent.

Two kinds of log records are reported: those with a traceback (``logger.exception``), of the collector or of gunicorn,
and those with ``extra={"tell_sentry": True}``, which are changes of state that somebody has to know about. In place of
True there may be the exception that is reported. No integration of Sentry's reads requests. If private data gets into a
report nevertheless, fillmore's scrubber removes it.

This module is imported only if there is a DSN, or if a start fails.
"""

import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import markus
import sentry_sdk
from fillmore.scrubber import Rule, Scrubber
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration

from antenna.config import AppConfig, ConfigManager, ConfigurationError
from antenna.ops.errors import is_ours
from antenna.ops.floods import FloodFilter
from antenna.ops.version import read_version, release_name

metrics = markus.get_metrics("")

# Seconds that the process waits at its end for the last reports to be sent.
FINAL_FLUSH_TIMEOUT = 2.0

# Characters of an error's message that are reported. The rest is cut off: a message that is longer quotes data.
MAX_MESSAGE_LENGTH = 500

# Seconds in which Sentry gets only one report of the same change of state. A hundred entries may be set aside at once.
_QUIET = 60.0

MASK = "[Scrubbed]"

_SENTRY_LEVELS: dict[int, Literal["info", "warning", "error"]] = {
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}


def set_up_sentry(app_config: AppConfig) -> None:
    """Report errors to the Sentry project of ``SECRET_SENTRY_DSN``. Without a DSN, do nothing."""
    _set_up(app_config.secret_sentry_dsn, app_config.basedir, app_config.hostname)


def report_startup_error(config: ConfigManager, error: Exception) -> None:
    """Report an error that ends the start, and wait until it is sent. It also works before ``set_up_sentry``."""
    if not sentry_sdk.is_initialized():
        # The options are read one by one, because the error may be that another option is bad.
        options = config.with_options(AppConfig)
        with suppress(ConfigurationError):
            _set_up(options("secret_sentry_dsn"), options("basedir"), options("hostname"))
    sentry_sdk.capture_exception(error)
    sentry_sdk.flush(FINAL_FLUSH_TIMEOUT)


def _set_up(dsn: str, basedir: Path, hostname: str) -> None:
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, SentryHandler)]:
        root.removeHandler(earlier)
    if not dsn:
        return
    sentry_sdk.init(
        dsn,
        release=release_name(read_version(basedir)),
        server_name=hostname,
        # The default integrations hook into every log record, HTTP call and thread, the automatic ones into falcon.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[AtexitIntegration(callback=lambda _pending, _timeout: None), DedupeIntegration()],
        before_send=scrub_event,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        shutdown_timeout=FINAL_FLUSH_TIMEOUT,
    )
    handler = SentryHandler(logging.INFO)
    handler.addFilter(FloodFilter(sums_up=False))
    root.addHandler(handler)


class SentryHandler(logging.Handler):
    """A log handler that reports errors with a traceback, and changes of state."""

    def __init__(self, level: int) -> None:
        """``level`` is the lowest level of the records that are considered."""
        super().__init__(level)
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Report an error or a change of state. Errors of the reporting itself are not reported."""
        told = getattr(record, "tell_sentry", False)
        if isinstance(told, BaseException):
            sentry_sdk.capture_exception(told)
        elif record.exc_info and record.levelno >= logging.ERROR:
            if not record.name.startswith(("fillmore", "sentry_sdk")):
                sentry_sdk.capture_exception(record.exc_info)
        elif told and self._is_news(record):
            sentry_sdk.capture_message(record.getMessage(), level=_SENTRY_LEVELS.get(record.levelno, "error"))

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Whether this change was not reported in the last minute."""
        last, now = self._told.get(record.msg, -_QUIET), time.monotonic()
        if now - last < _QUIET:
            return False
        self._told[record.msg] = now
        return True


def remove(value: object) -> None:
    """Remove a value from a report."""
    del value


_ERRNO = re.compile(r"\[Errno (\d{1,5})\]")

# Private data in messages: a token, a cookie, a query string, credentials in a URL, or an IP address (v4, v6).
_PRIVATE = re.compile(
    r"""(?ix)
    (?<= bearer\s ) \S+
    | (?<= cookie: ) .*
    | (?<= authorization: ) .*
    | (?<= \? ) \S+
    | (?<= :// ) [^/\s@]* (?= @ )
    | \b (?: \d{1,3} \. ){3} \d{1,3} \b
    | (?<! [\w:] ) (?: (?: [0-9a-f]{1,4} : ){7} [0-9a-f]{1,4} | [0-9a-f:]* :: [0-9a-f:.]* )
    """
)


def scrub_message(message: object) -> str:
    """Remove private data from the message of an error, and cut the message."""
    return _PRIVATE.sub(MASK, str(message))[:MAX_MESSAGE_LENGTH]


SCRUB_RULES = [
    Rule(path="request", keys=["cookies", "data", "env", "headers", "query_string"], scrub=remove),
    Rule(path="user", keys=["email", "id", "ip_address", "username"], scrub=remove),
    Rule(path="exception.values.[]", keys=["value"], scrub=scrub_message),
    Rule(path="exception.values.[].stacktrace.frames.[]", keys=["vars"], scrub=remove),
    Rule(path="logentry", keys=["formatted", "message", "params"], scrub=remove),
]


def _drop_messages_of_others(event: Any) -> None:
    """Keep the message of an error only if it is our own.

    Messages of other authors quote the data that they were given.
    """
    for exception in event.get("exception", {}).get("values", []):
        frames = (exception.get("stacktrace") or {}).get("frames") or [{"module": None}]
        if not is_ours(exception.get("module"), frames[-1].get("module")):
            number = _ERRNO.match(str(exception.get("value")))
            exception["value"] = f"[Errno {number[1]}] {os.strerror(int(number[1]))}" if number else ""


def scrub_event(event: Any, hint: Any) -> Any:
    """Return a scrubbed event, which is sent instead of ``event``.

    If the event cannot be scrubbed, only the type of the error and where it was raised are sent.
    """
    failures: list[object] = []
    try:
        _drop_messages_of_others(event)
    except (AttributeError, LookupError, TypeError) as error:
        failures.append(error)
    scrubbed = Scrubber(rules=SCRUB_RULES, error_handler=failures.append)(event, hint)
    if not failures:
        return scrubbed
    metrics.incr("sentry_scrub_error")
    kept = ("event_id", "timestamp", "platform", "level", "release", "server_name", "environment")
    bare = {key: event[key] for key in kept if key in event}
    error_type = hint["exc_info"][0].__name__ if hint.get("exc_info") else "an event"
    return bare | {"message": f"{error_type}, of which no more can be said: the report could not be scrubbed"}
