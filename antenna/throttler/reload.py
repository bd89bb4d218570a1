# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Loads the rules, and loads them again when they change. While they are broken, the last good ones decide.

Rules are checked as a whole and replaced as a whole. Broken rules stop only the first start of a collector. A worker
that starts later, for whatever reason, uses the texts that the workers before it had.
"""

import logging
import time
from collections.abc import Callable

import gevent
import markus

from antenna.config import ConfigManager, ConfigurationError
from antenna.hub import run_blocking
from antenna.throttler.last_good import LastGood
from antenna.throttler.options import load_policy
from antenna.throttler.policy import Policy
from antenna.throttler.sources import Sources, Texts

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("throttle")

POLL_SECONDS = 1.5
"""Seconds between two reads of the files. A change counts only if two reads agree: somebody may be writing the file."""

# While the rules are broken, they are loaded again after this many polls, even if no file has changed.
_POLLS_UNTIL_RETRY = 4
# Largest share of the time that this loading takes. Everything else in the worker waits meanwhile, so loading that
# takes long is repeated less often.
_LARGEST_SHARE = 0.02
# Seconds that the import of a changed module may take. The libraries that it needs have been imported before.
_LONGEST_IMPORT = 5.0


class BrokenRulesError(Exception):
    """The error that Sentry gets when changed rules are broken."""


class RulesLoader:
    """Loads the policy of the throttler."""

    def __init__(self, config: ConfigManager, last_good: LastGood) -> None:
        """``config`` is the throttler's own configuration."""
        self._config = config
        self._last_good = last_good
        self._imported: set[str] = set()
        # The texts of the rules that decide now, and those that were read last.
        self._deciding = Texts()
        self._seen = Texts()
        self._changed: Texts | None = None
        self._polls_until_retry = _POLLS_UNTIL_RETRY
        self.problem = ""
        """Why earlier rules decide, and not those that the options name. It is empty if there is no problem."""

    def load(self) -> Policy:
        """Return the policy at a start. Raises ``ConfigurationError`` if it is broken and there is no earlier one."""
        try:
            return self._load(Sources(imported=self._imported))
        except ConfigurationError as error:
            kept = self._last_good.texts()
            if kept is None:
                raise
            try:
                policy = self._load(Sources(kept, self._imported))
            except ConfigurationError:
                raise error from None  # the kept texts belong to other options
            self._refuse(error)
            self._seen = self._deciding.now()
            return policy

    def look(self) -> Policy | None:
        """Return the new policy if the rules have changed and are good. Otherwise return None.

        If the rules are broken, set ``problem``.
        """
        now = run_blocking(self._deciding.now)
        if not self._is_due(now):
            return None
        self._changed, self._seen = None, now
        if self.problem and now == self._deciding:
            self._mended()
            return None
        start = time.monotonic()
        try:
            return self._load(Sources(imported=self._imported, longest_import=_LONGEST_IMPORT))
        except ConfigurationError as error:
            self._refuse(error)
            pause = (time.monotonic() - start) / _LARGEST_SHARE
            self._polls_until_retry = max(_POLLS_UNTIL_RETRY, round(pause / POLL_SECONDS))
            return None

    def _is_due(self, now: Texts) -> bool:
        """Whether the rules should be loaded now."""
        if now != self._seen:
            is_stable, self._changed = now == self._changed, now
            return is_stable
        self._changed = None
        if not self.problem:
            return False
        # The fault may lie in something that was not read, such as a module that does not exist yet.
        self._polls_until_retry -= 1
        return self._polls_until_retry <= 0

    def watch(self, replace: Callable[[Policy], None]) -> None:
        """Call ``look`` again and again, and pass each new policy to ``replace``.

        If no file can change, return at once.
        """
        while self._deciding.files or self._deciding.modules:
            gevent.sleep(POLL_SECONDS)
            try:
                policy = self.look()
            except Exception:
                logger.exception("it could not be checked whether the rules have changed")
                continue
            if policy is not None:
                replace(policy)

    def _load(self, sources: Sources) -> Policy:
        policy = load_policy(self._config, sources)
        self._deciding = self._seen = sources.texts
        self._last_good.keep(sources.texts)
        self._mended()
        metrics.incr("rules_loaded", tags=["outcome:good"])
        return policy

    def _refuse(self, error: Exception) -> None:
        if str(error) == self.problem:
            return
        self.problem = str(error)
        self._polls_until_retry = _POLLS_UNTIL_RETRY
        metrics.incr("rules_loaded", tags=["outcome:refused"])
        extra = {"tell_sentry": BrokenRulesError(self.problem)}
        logger.error("the rules are broken, the last good ones go on deciding: %s", error, extra=extra)

    def _mended(self) -> None:
        if self.problem:
            logger.warning("the rules are good again")
        self.problem = ""
