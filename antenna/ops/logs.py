# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Logging to stdout: mozlog JSON in production, readable lines in the local environment.

A client cannot forge a record. The text that it sends stays inside the line, or inside the JSON string, it belongs to.
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

# The name of the process in the log records of Mozilla's services.
_PROCESS_NAME = "antenna"


def set_up_logging(app_config: AppConfig) -> None:
    """Send every record of the process, including gunicorn's, to stdout. A second call replaces the first set-up."""
    handler = _StdoutHandler(sys.stdout)
    if app_config.local_dev_env:
        handler.setFormatter(ReadableFormatter())
    else:
        handler.setFormatter(MozlogWithFields(app_config.hostname))
    handler.addFilter(FloodFilter())

    root = logging.getLogger()
    # Handlers of other programs on the root logger, such as pytest's, are not removed.
    for earlier in [handler for handler in root.handlers if isinstance(handler, _StdoutHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)

    level = logging.getLevelNamesMapping()[app_config.logging_level]
    logging.getLogger("antenna").setLevel(level)
    # As debug records, libraries log credentials (everett) and text of clients (gunicorn). So these are never logged.
    root.setLevel(max(level, logging.INFO))
    # By default, Google's libraries do not pass their records on, unless their logger has a level of its own.
    google = logging.getLogger("google")
    google.setLevel(root.level)
    google.propagate = True
    # urllib3 warns of each connection that it does not keep, and a burst of crashes has hundreds of them. google-auth
    # warns of each attempt to ask a machine for its token. After the last attempt, the backend counts as down anyway.
    for chatty in ("urllib3", "google.auth.compute_engine"):
        logging.getLogger(chatty).setLevel(logging.ERROR)

    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    # If somebody tries the collector in a terminal, lines about the server and about each metric would bury those about
    # crashes.
    is_quiet = app_config.local_dev_env and level > logging.DEBUG
    for name in ("gunicorn.error", "markus"):
        logging.getLogger(name).setLevel(logging.WARNING if is_quiet else logging.NOTSET)

    # These are not used in any line, and cost time: the name of a thread costs as much as the rest of a record.
    logging.logThreads = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]  # the types are of Python 3.11, which has it not

    # If a record cannot be written, Python would print its arguments and a traceback to stderr, line by line.
    logging.raiseExceptions = app_config.local_dev_env


def log_unhandled_errors() -> None:
    """Log the errors that end threads and greenlets. Call this once in a process.

    Without it, Python and gevent print them to stderr line by line.
    """

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            logger.error("unhandled error in a thread", exc_info=args.exc_value)

    def on_greenlet_error(_context: object, *exc_info: Any) -> None:
        logger.error("unhandled error in a greenlet", exc_info=exc_info)

    threading.excepthook = on_thread_error
    gevent.get_hub().print_exception = on_greenlet_error  # type: ignore[assignment,method-assign]  # as gevent allows


class _StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]  # the stream's type has no part in it
    """The handler of this module. Its class tells it from the handlers of other programs."""

    def close(self) -> None:
        """Log how many lines were left out last, and close the handler."""
        for flood_filter in self.filters:
            if isinstance(flood_filter, FloodFilter):
                flood_filter.sum_up()
        super().close()


class MozlogWithFields(MozlogFormatter):  # type: ignore[misc]  # dockerflow comes without types
    """Formats a record as mozlog, with the fields of ``extra``, the host and the id of the request."""

    EXCLUDED_LOGRECORD_ATTRS: ClassVar[set[str]] = MozlogFormatter.EXCLUDED_LOGRECORD_ATTRS | {
        "flood",
        "once",
        "tell_sentry",
    }

    def __init__(self, hostname: str) -> None:
        """``hostname`` is the name of this instance."""
        super().__init__(logger_name="antenna")
        self.hostname = hostname

    def convert_record(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the object that is encoded as JSON."""
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
        """Return the line for a record."""
        return json.dumps(self.convert_record(record), cls=SafeJSONEncoder)


def format_error(error: BaseException) -> str:
    """Return the traceback of an error and of the errors that led to it, each with the message that may be shown."""
    return "\n".join(
        "".join([*traceback.format_tb(link.__traceback__), f"{type(link).__name__}: {describe(link)}"])
        for link in chain_of(error)
    )


class ReadableFormatter(logging.Formatter):
    """Formats a record as one line. The lines of its traceback follow, indented so that none looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line with time, level, logger and message, and the lines of the traceback."""
        time = self.formatTime(record, "%H:%M:%S")
        lines = [f"{time} {record.levelname:<8} {record.name}: {escape(record.getMessage())}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [f"    {escape(line)}" for line in format_error(record.exc_info[1]).splitlines()]
        return "\n".join(lines)


def escape(text: str) -> str:
    """Escape the characters that could move the cursor, begin a line, or not be encoded.

    These are newlines, control characters and format characters.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
