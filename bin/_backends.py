# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The storage and the publisher that the environment configures, and crash ids and dates as arguments."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from bin import _common, _python  # isort: split

_python.require_packages()

# The backends run on gevent, as in the collector. If it patches the process first, they wait at the same time.
from antenna.hub import patch_all  # noqa: E402 - needs the packages

patch_all()

from gevent.hub import Hub  # noqa: E402 - patched first
from gevent.pool import Pool  # noqa: E402 - patched first

from antenna.backend import BackendConfigurationError, BackendError, CrashRefused  # noqa: E402 - patched first
from antenna.config import ConfigManager, ConfigurationError, build_config  # noqa: E402 - patched first
from antenna.crash import crash_id as crash_ids  # noqa: E402 - patched first
from antenna.crash import raw_crash_prefix  # noqa: E402 - patched first
from antenna.crashmover import CrashMover  # noqa: E402 - patched first
from antenna.ext import (  # noqa: E402 - patched first
    CrashPublishBase,
    CrashStorageBase,
    NoOpCrashPublish,
)
from antenna.spool import Spool  # noqa: E402 - patched first

# gevent must not print Ctrl-C as an error: the program says itself that it was interrupted.
Hub.NOT_ERROR = (*Hub.NOT_ERROR, KeyboardInterrupt)

T = TypeVar("T")
R = TypeVar("R")

# The exceptions that the backends and the configuration raise.
ERRORS = (BackendConfigurationError, BackendError, ConfigurationError, CrashRefused, OSError)

# Crashes that are handled at the same time.
CONCURRENCY = 10

_DAY = r"today|yesterday|\d{4}-\d\d-\d\d|\d{8}"
_DATES = re.compile(rf"(?P<first>{_DAY})(?:(?:-|\.\.)(?P<last>{_DAY}))?", re.ASCII)

_LOCAL = _common.ROOT / ".local"
# The environment in which `make run` starts the collector.
LOCAL_ENVIRONMENT = {
    "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
    "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(_LOCAL / "crashes"),
    "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.fs.crashpublish.FSCrashPublish",
    "CRASHMOVER_CRASHPUBLISH_FS_ROOT": str(_LOCAL / "queue"),
    "CRASHMOVER_SPOOL_DIR": str(_LOCAL / "spool"),
}


def _config() -> ConfigManager:
    environ = dict(os.environ)
    is_configured = any(environ.get(name) for name in LOCAL_ENVIRONMENT)
    if not is_configured and _LOCAL.is_dir():
        environ.update(LOCAL_ENVIRONMENT)
    return build_config(environ).with_namespace("crashmover")


def storage() -> CrashStorageBase:
    """Return the configured storage. Raises ``ToolError`` if its crashes cannot be read."""
    config = _config()
    if not config("crashstorage_class", default=""):
        raise _common.ToolError("CRASHMOVER_CRASHSTORAGE_CLASS is not set: set it and its options as for the collector")
    storage_class = config.with_options(CrashMover)("crashstorage_class")
    if storage_class.load is CrashStorageBase.load:
        raise _common.ToolError(
            f"{storage_class.__name__} keeps no crashes that could be read: set CRASHMOVER_CRASHSTORAGE_CLASS "
            "and its options as for the collector"
        )
    crashstorage: CrashStorageBase = storage_class(config.with_namespace("crashstorage"))
    return crashstorage


def publisher() -> CrashPublishBase:
    """Return the configured publisher. Raises ``ToolError`` if it publishes nothing."""
    config = _config()
    publish_class = config.with_options(CrashMover)("crashpublish_class")
    if issubclass(publish_class, NoOpCrashPublish):
        raise _common.ToolError(
            "NoOpCrashPublish publishes nothing: set CRASHMOVER_CRASHPUBLISH_CLASS and its options as for the collector"
        )
    crashpublish: CrashPublishBase = publish_class(config.with_namespace("crashpublish"))
    return crashpublish


def spool() -> Spool:
    """Return the configured spool. Raises ``ToolError`` if there is none."""
    configured = Spool(_config())
    if not configured.config("spool_dir"):
        raise _common.ToolError("CRASHMOVER_SPOOL_DIR is not set: set it as for the collector")
    if not (configured.root / "set_aside").is_dir():
        raise _common.ToolError(f"{configured.root} is not a spool")
    return configured


def parse_id(text: str) -> str:
    """Return the crash id in ``text``. This is for ``argparse``.

    The id may stand alone, have ``bp-`` in front, be part of a collector's answer, or be the last part of a URL's path,
    as in ``https://crashes.example.com/report/index/ID``.
    """
    last = text.strip().partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    crash_id = last.removeprefix("CrashID=").removeprefix("bp-")
    if not crash_ids.is_valid(crash_id):
        raise argparse.ArgumentTypeError(f"not a crash id: {text.strip()!r}")
    return crash_id


def read_ids(arguments: list[str]) -> list[str]:
    """Return the crash ids that were given as arguments, or else those on stdin, one a line. Each is returned once.

    Raises ``ToolError`` if one is not a crash id, before any work begins.
    """
    if arguments:
        return list(dict.fromkeys(arguments))
    if sys.stdin.isatty():
        _common.note("Reading crash ids from the keyboard, one a line. End: Ctrl-D")
    crash_ids_found: dict[str, None] = {}
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            try:
                crash_ids_found[parse_id(line)] = None
            except argparse.ArgumentTypeError as error:
                raise _common.ToolError(f"stdin, line {number}: {error}") from error
    return list(crash_ids_found)


def parse_dates(text: str) -> list[str]:
    """Return the days of a day or a range, as YYYYMMDD. This is for ``argparse``.

    A day is YYYYMMDD, YYYY-MM-DD, ``today`` or ``yesterday``. A range is two days with ``-`` or ``..`` between them.
    """
    match = _DATES.fullmatch(text.strip())
    first, last = (match["first"], match["last"] or match["first"]) if match else ("", "")
    try:
        begin, end = parse_day(first), parse_day(last)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected YYYYMMDD, YYYY-MM-DD, two of them with '..' or '-' between, today or yesterday, not {text!r}"
        ) from error
    if end < begin:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return [f"{begin + timedelta(days=number):%Y%m%d}" for number in range((end - begin).days + 1)]


def parse_day(text: str) -> date:
    """Return the day that ``text`` means, in UTC. Raises ``ValueError``."""
    today = datetime.now(UTC).date()
    if text in {"today", "yesterday"}:
        return today - timedelta(days=text == "yesterday")
    return datetime.strptime(text.replace("-", ""), "%Y%m%d").replace(tzinfo=UTC).date()


def stored_ids(crashstorage: CrashStorageBase, dates: list[str]) -> Iterator[str]:
    """Yield the ids of the crashes in the storage, day by day. Raises ``BackendError``."""
    for day in dates:
        for path in crashstorage.list_paths(raw_crash_prefix(day)):
            crash_id = path.rpartition("/")[2]
            if crash_ids.is_valid(crash_id):
                yield crash_id


def side_by_side(work: Callable[[T], R], items: Iterable[T], size: int = CONCURRENCY) -> Iterator[R]:
    """Yield ``work(item)`` for each item, in order. ``size`` of them run at the same time.

    Raises what ``work`` raises.
    """

    def outcome(item: T) -> tuple[list[R], Exception | None]:
        try:
            return [work(item)], None
        except Exception as error:  # noqa: BLE001 - raised below: gevent would print it as unhandled
            return [], error

    for results, error in Pool(size).imap(outcome, items, maxsize=size):
        if error is not None:
            raise error
        yield from results
