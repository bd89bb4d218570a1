# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Says in the log which products and packages are rejected for being on no list.

That is how operators notice a new product. The names come from clients: they are escaped, cut, and few.
"""

import logging
import time
from collections.abc import Callable

# The name under which log queries of existing deployments find these lines.
logger = logging.getLogger("antenna.throttler")

MAX_NAME_LENGTH = 50
"""Characters of a name that are logged."""

MAX_NAMES_PER_HOUR = 20
"""Different lines that one worker logs in an hour. It counts the reports beyond them."""

_HOUR_SECONDS = 3600.0


class UnlistedNames:
    """Logs each name once an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds."""
        self._clock = clock
        self._hour_began = clock()
        self._logged: set[str] = set()
        self._not_logged = 0

    def product(self, name: str) -> None:
        """Take note of a crash of a product that is not listed."""
        self._log(f"ProductName rejected: {_shown(name)}")

    def packagename(self, product: str, name: str | None) -> None:
        """Take note of a crash of a listed product from a package, or none, that is not listed."""
        shown = "no Android_PackageName" if name is None else _shown(name)
        self._log(f"Android_PackageName rejected: {product[:MAX_NAME_LENGTH]} {shown}")

    def b2g(self) -> None:
        """Take note of a crash that is answered as if it was accepted, for being one of B2G."""
        self._log("ProductName B2G: fake accept")

    def _log(self, line: str) -> None:
        if self._clock() - self._hour_began >= _HOUR_SECONDS:
            self._begin_hour()
        if line in self._logged:
            return
        if len(self._logged) < MAX_NAMES_PER_HOUR:
            self._logged.add(line)
            logger.info("%s", line)
            return
        self._not_logged += 1

    def _begin_hour(self) -> None:
        if self._not_logged:
            logger.info("%d more reports of products or packages that are not listed", self._not_logged)
        self._hour_began = self._clock()
        self._logged.clear()
        self._not_logged = 0


def _shown(name: str) -> str:
    return repr(name[:MAX_NAME_LENGTH])
