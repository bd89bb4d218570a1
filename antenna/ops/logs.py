# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Logging: mozlog JSON in production, readable lines in the local environment, both to stdout.

Either way a record cannot be forged: what a client sent stays inside the line or the JSON string it belongs to.
"""

import json
import logging
import sys
import threading
import traceback
from typing import Any, ClassVar

import gevent
from dockerflow.logging import MozlogFormatter, SafeJSONEncoder

from antenna.config import AppConfig
from antenna.ops.errors import chain_of, describe
from antenna.ops.floods import FloodFilter
from antenna.ops.request_id import request_id

logger = logging.getLogger(__name__)

# What Mozilla's services call the process in their log records.
_PROCESS_NAME = "antenna"


def set_up_logging(app_config: AppConfig) -> None:
    """Send every record of the process, gunicorn's included, to stdout. Calling it again replaces the set-up."""
    handler = _StdoutHandler(sys.stdout)
    if app_config.local_dev_env:
        handler.setFormatter(ReadableFormatter())
    else:
        handler.setFormatter(MozlogWithFields(app_config.hostname))
    handler.addFilter(FloodFilter())

    root = logging.getLogger()
    # Others' handlers on the root logger, such as pytest's, stay.
    for earlier in [handler for handler in root.handlers if isinstance(handler, _StdoutHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)

    level = logging.getLevelNamesMapping()[app_config.logging_level]
    logging.getLogger("antenna").setLevel(level)
    # Libraries log credentials (everett) and what clients sent (gunicorn) as debug records.
    root.setLevel(max(level, logging.INFO))
    # Google's libraries keep their records to themselves, unless their logger has a level of its own.
    google = logging.getLogger("google")
    google.setLevel(root.level)
    google.propagate = True
    # urllib3 warns of each connection that it does not keep, of which a burst of crashes has hundreds; google-auth of
    # each attempt to ask a machine for its token, after the last of which the backend counts as down.
    for chatty in ("urllib3", "google.auth.compute_engine"):
        logging.getLogger(chatty).setLevel(logging.ERROR)

    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    # In the terminal of somebody who tries the collector, lines about the server and about each metric would bury those
    # about crashes.
    is_quiet = app_config.local_dev_env and level > logging.DEBUG
    for name in ("gunicorn.error", "markus"):
        logging.getLogger(name).setLevel(logging.WARNING if is_quiet else logging.NOTSET)

    # Nothing of these gets into a line: a thread's name, for one, costs as much as the rest of a record.
    logging.logThreads = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]  # the types are of Python 3.11, which has it not

    # When a record cannot be written, Python would print its arguments and a traceback to stderr, line by line.
    logging.raiseExceptions = app_config.local_dev_env


def log_unhandled_errors() -> None:
    """Log the errors that end threads and greenlets, which otherwise go to stderr line by line. Call once a process."""

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            logger.error("unhandled error in a thread", exc_info=args.exc_value)

    def on_greenlet_error(_context: object, *exc_info: Any) -> None:
        logger.error("unhandled error in a greenlet", exc_info=exc_info)

    threading.excepthook = on_thread_error
    gevent.get_hub().print_exception = on_greenlet_error  # type: ignore[assignment,method-assign]  # as gevent allows


class _StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]  # the stream's type has no part in it
    """Tells our handler from those of others."""

    def close(self) -> None:
        """End, with the number of the lines that were left out last."""
        for flood_filter in self.filters:
            if isinstance(flood_filter, FloodFilter):
                flood_filter.sum_up()
        super().close()


class MozlogWithFields(MozlogFormatter):  # type: ignore[misc]  # dockerflow comes without types
    """A record in mozlog format, with what the code adds to it by ``extra``, the host and the id of the request."""

    EXCLUDED_LOGRECORD_ATTRS: ClassVar[set[str]] = MozlogFormatter.EXCLUDED_LOGRECORD_ATTRS | {
        "flood",
        "once",
        "tell_sentry",
    }

    def __init__(self, hostname: str) -> None:
        """``hostname`` names this instance."""
        super().__init__(logger_name="antenna")
        self.hostname = hostname

    def convert_record(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what is encoded as JSON."""
        exc_info, record.exc_info = record.exc_info, None
        try:
            out: dict[str, Any] = super().convert_record(record)
        finally:
            record.exc_info = exc_info
        fields = out["Fields"]
        fields["host_id"] = self.hostname
        fields["processname"] = _PROCESS_NAME
        if (current := request_id()) is not None:
            fields["request_id"] = current
        if exc_info and exc_info[1] is not None:
            said = describe(exc_info[1])
            fields["error"] = repr(exc_info[1]) if said == str(exc_info[1]) else said
            fields["traceback"] = format_error(exc_info[1])
        return out

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(self.convert_record(record), cls=SafeJSONEncoder)


def format_error(error: BaseException) -> str:
    """Return the traceback of an error and of those that led to it, each with what may be said of it."""
    return "\n".join(
        "".join([*traceback.format_tb(link.__traceback__), f"{type(link).__name__}: {describe(link)}"])
        for link in chain_of(error)
    )


class ReadableFormatter(logging.Formatter):
    """One line a record, followed by the lines of its traceback, indented so that none looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message."""
        time = self.formatTime(record, "%H:%M:%S")
        lines = [f"{time} {record.levelname:<8} {record.name}: {escape(record.getMessage())}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [f"    {escape(line)}" for line in format_error(record.exc_info[1]).splitlines()]
        return "\n".join(lines)


def escape(text: str) -> str:
    """Escape what could move the cursor, start a line or not be encoded: newlines, control and format characters."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
