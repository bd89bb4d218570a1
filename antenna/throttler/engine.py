# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The throttler: asks the rules in order until one decides."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import markus
import sentry_sdk

from antenna.config import ConfigManager, Option
from antenna.throttler.crash_view import CrashView
from antenna.throttler.options import parse_product_packagenames, parse_products, parse_rules
from antenna.throttler.rule import CONTINUE, REJECT, Random, Result, Rule
from antenna.throttler.unlisted import UnlistedNames

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("throttle")

NO_MATCH = "NO_MATCH"
"""The rule name that stands for: no rule decided."""


class RuleError(Exception):
    """What Sentry is told about a rule that raised."""


def utc_now() -> datetime:
    """Return the time now in UTC."""
    return datetime.now(UTC)


class Throttler:
    """Decides with a rule set what becomes of each crash.

    Rules read ``products``, ``product_packagenames`` and ``now``, and tell ``unlisted`` which products they reject for
    being on no list. ``rng`` draws where a rule samples.
    """

    class Config:
        """Options, in the throttler's own namespace."""

        rules = Option(
            default="antenna.throttler.MOZILLA_RULES",
            doc="The rules that decide what becomes of a crash, first match wins.",
            parser=parse_rules,
        )
        products = Option(
            default="antenna.throttler.MOZILLA_PRODUCTS",
            doc="The supported products; none listed: all are.",
            parser=parse_products,
        )
        product_packagenames = Option(
            default="antenna.throttler.MOZILLA_PRODUCT_PACKAGENAMES",
            doc="The supported Android packages of each product; none listed for a product: all are.",
            parser=parse_product_packagenames,
        )

    def __init__(
        self,
        config: ConfigManager,
        *,
        rng: Random = random,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config.with_options(self)
        self.rule_set: Sequence[Rule] = self.config("rules")
        self.products: tuple[str, ...] = self.config("products")
        self.product_packagenames: Mapping[str, tuple[str, ...]] = self.config("product_packagenames")
        self.rng = rng
        self.now = now
        self.unlisted = UnlistedNames()
        self._rules_reported: set[str] = set()

    def throttle(self, raw_crash: Mapping[str, Any]) -> tuple[Result, str, float]:
        """Return what becomes of this crash, the name of the rule that decided, and the percentage it goes by.

        ``raw_crash`` holds the annotations, and under ``metadata`` what else rules may look at. The percentage is 100
        for a rule that does not sample and 0 for ``NO_MATCH``.
        """
        crash = CrashView(raw_crash)
        for rule in self.rule_set:
            try:
                matches = rule.match(self, crash)
            except Exception as exc:  # noqa: BLE001 - a faulty rule must neither lose nor fail a crash
                self._report(rule, exc)
                continue
            if matches:
                result, percentage = rule.decide(self.rng)
                if result is not CONTINUE:
                    return result, rule.rule_name, percentage
        return REJECT, NO_MATCH, 0

    def _report(self, rule: Rule, exc: Exception) -> None:
        # Exception messages and chained exceptions can quote annotation values: only the type gets out.
        message = f"throttle rule {rule.rule_name} raised {type(exc).__name__}; skipped"
        metrics.incr("rule_error", tags=[f"rule:{rule.rule_name}"])
        # Not an error: Sentry makes an event of each of those, and it is to hear of a rule once.
        logger.warning("%s", message)
        if rule.rule_name not in self._rules_reported:
            self._rules_reported.add(rule.rule_name)
            sentry_sdk.capture_exception(RuleError(message).with_traceback(exc.__traceback__))
