# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Logging: mozlog JSON in production, readable lines in the local environment, both to stdout.

Either way a record cannot be forged: what a client sent stays inside the line or the JSON string it belongs to.
"""

import logging
import sys
import threading
from typing import Any

import gevent
from dockerflow.logging import MozlogFormatter

from antenna.config import AppConfig

logger = logging.getLogger(__name__)


def set_up_logging(app_config: AppConfig) -> None:
    """Send every record of the process, gunicorn's included, to stdout. Calling it again replaces the set-up."""
    handler = _StdoutHandler(sys.stdout)
    if app_config.local_dev_env:
        handler.setFormatter(ReadableFormatter())
    else:
        formatter = MozlogFormatter(logger_name="antenna")
        formatter.hostname = app_config.hostname
        handler.setFormatter(formatter)

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

    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    gunicorn.setLevel(logging.NOTSET)

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


class ReadableFormatter(logging.Formatter):
    """One line a record, followed by the lines of its traceback, indented so that none looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message."""
        time = self.formatTime(record, "%H:%M:%S")
        lines = [f"{time} {record.levelname:<8} {record.name}: {escape(record.getMessage())}"]
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            lines += [f"    {escape(line)}" for line in traceback.splitlines()]
        return "\n".join(lines)


def escape(text: str) -> str:
    """Escape what could move the cursor, start a line or not be encoded: newlines, control and format characters."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
