# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps floods out of the log: the lines of a kind that come too fast are counted, and the count is logged."""

import logging
import threading
import time
from dataclasses import dataclass

from antenna.ops.errors import place_of

logger = logging.getLogger(__name__)

# Lines of one kind in a second, and how often the number of the others is logged, in seconds.
_LINES_A_SECOND = 10
_SUM_UP_AFTER = 10.0
# An error with a traceback is logged once in so many seconds for each type and place.
_ERROR_PAUSE = 60.0


@dataclass(slots=True)
class _Kind:
    """Lines of one kind: where their count began, how many since, and how many were left out."""

    since: float = 0.0
    passed: int = 0
    left_out: int = 0


class FloodFilter(logging.Filter):
    """For a handler. Lets pass records of a kind as long as there are few.

    Code names the kind with ``extra={"flood": "rejected"}``, or with ``once`` a kind of which a record a minute is
    enough. A record with a traceback is one of those, of the kind of its error.
    All others pass.

    It takes no lock, for which a native thread might wait for ever: see ``antenna.hub``. Should two threads count at
    the same moment, a line more passes.
    """

    def __init__(self, *, sums_up: bool = True) -> None:
        """``sums_up``: log how many were left out."""
        super().__init__()
        self._sums_up = sums_up
        self._kinds: dict[str, _Kind] = {}
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        name: str | None = getattr(record, "flood", None)
        most, seconds = _LINES_A_SECOND, 1.0
        once: str | None = getattr(record, "once", None)
        if once is not None:
            name, most, seconds = once, 1, _ERROR_PAUSE
        elif name is None:
            if not record.exc_info or record.exc_info[1] is None:
                return True
            error = record.exc_info[1]
            name = f"{type(error).__name__} at {place_of(error)}"
            most, seconds = 1, _ERROR_PAUSE
        return self._passes(name, most, seconds)

    def sum_up(self) -> None:
        """Log how many records were left out since the last time."""
        self._timer = None
        left_out = [(name, kind.left_out) for name, kind in self._kinds.items() if kind.left_out]
        now = time.monotonic()
        self._kinds = {name: kind for name, kind in self._kinds.items() if now - kind.since < _ERROR_PAUSE}
        for kind in self._kinds.values():
            kind.left_out = 0
        for name, count in left_out:
            logger.info("%s: %d more lines like this were left out", name, count, extra={"event": "summed_up"})

    def _passes(self, name: str, most: int, seconds: float) -> bool:
        kind = self._kinds.setdefault(name, _Kind())
        now = time.monotonic()
        if now - kind.since >= seconds:
            kind.since, kind.passed = now, 0
        if kind.passed < most:
            kind.passed += 1
            return True
        kind.left_out += 1
        if self._sums_up and self._timer is None:
            self._timer = threading.Timer(_SUM_UP_AFTER, self.sum_up)
            self._timer.daemon = True
            self._timer.start()
        return False
