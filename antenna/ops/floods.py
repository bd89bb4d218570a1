# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps floods out of the log. If lines of one kind come too fast, they are only counted, and the count is logged."""

import logging
import threading
import time
from dataclasses import dataclass

from antenna.config import place_of

logger = logging.getLogger(__name__)

# Most lines of one kind that are logged in a second, and seconds after which the number of left-out lines is logged.
_LINES_A_SECOND = 10
_SUM_UP_AFTER = 10.0
# Seconds in which an error with a traceback is logged only once, for each type and place.
_ERROR_PAUSE = 60.0


@dataclass(slots=True)
class _LineCount:
    """Lines of one kind: when their count began, how many were logged since, and how many were left out."""

    since: float = 0.0
    passed: int = 0
    left_out: int = 0


class Floods:
    """Counts the lines of each kind, says which are left out, and logs how many were.

    It takes no lock, because a native thread might wait for it for ever: see ``antenna.hub``. If two threads count at
    the same moment, one line too many may pass.
    """

    def __init__(self, *, sums_up: bool = True) -> None:
        """``sums_up`` says whether to log how many lines were left out."""
        self._sums_up = sums_up
        self._kinds: dict[str, _LineCount] = {}
        self._timer: threading.Timer | None = None

    def passes(self, name: str, most: int = _LINES_A_SECOND, seconds: float = 1.0) -> bool:
        """Count a line of the kind ``name``. Returns whether it is one of the first ``most`` in these ``seconds``."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _LineCount()
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

    def sum_up(self) -> None:
        """Log how many lines were left out since the last time."""
        self._timer = None
        left_out = [(name, kind.left_out) for name, kind in self._kinds.items() if kind.left_out]
        now = time.monotonic()
        self._kinds = {name: kind for name, kind in self._kinds.items() if now - kind.since < _ERROR_PAUSE}
        for kind in self._kinds.values():
            kind.left_out = 0
        for name, count in left_out:
            logger.info("%s: %d more lines like this were left out", name, count, extra={"event": "summed_up"})


class FloodFilter(logging.Filter):
    """A filter for a handler. It lets records of a kind pass as long as there are few of them.

    Code names the kind of a record with ``extra={"flood": "refused"}``. If one record a minute is enough, it uses
    ``once`` instead of ``flood``. A record with a traceback is treated in the same way, and its kind is the type and
    place of the error. All other records pass.
    """

    def __init__(self, *, sums_up: bool = True) -> None:
        """``sums_up`` says whether to log how many records were left out."""
        super().__init__()
        self._floods = Floods(sums_up=sums_up)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        kind: str | None = getattr(record, "flood", None)
        once: str | None = getattr(record, "once", None)
        if once is not None:
            return self._floods.passes(once, 1, _ERROR_PAUSE)
        if kind is not None:
            return self._floods.passes(kind)
        if not record.exc_info or record.exc_info[1] is None:
            return True
        error = record.exc_info[1]
        return self._floods.passes(f"{type(error).__name__} at {place_of(error)}", 1, _ERROR_PAUSE)

    def sum_up(self) -> None:
        """Log how many records were left out since the last time."""
        self._floods.sum_up()
