# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The throttler. It asks the rules in order until one of them decides."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import gevent
import markus

from antenna.config import ConfigManager, Option, place_of
from antenna.throttler.crash_view import CrashView
from antenna.throttler.last_good import LastGood
from antenna.throttler.options import parse_product_packagenames, parse_products, parse_rules
from antenna.throttler.policy import Policy
from antenna.throttler.quotas import Quotas
from antenna.throttler.reload import BrokenRulesError, RulesLoader
from antenna.throttler.rule import ACCEPT, CONTINUE, DEFER, REJECT, Random, Result, Rule
from antenna.throttler.unlisted import UnlistedNames

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("throttle")

NO_MATCH = "NO_MATCH"
"""The rule name of a verdict if no rule has decided."""


class RuleError(Exception):
    """The error that Sentry gets when a rule has raised one. It has no text of the client."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a crash, and the rule that made it."""

    result: Result
    rule_name: str
    percentage: float
    stop_sending: bool = False
    """Whether, if the crash is rejected, the client should send no more crashes of this version."""
    remove: tuple[str, ...] = ()
    """Annotations that are not saved, in addition to the private ones."""
    policy: Policy = field(default_factory=lambda: Policy(()))


class Throttler:
    """Decides with a set of rules what becomes of each crash.

    The collector calls ``judge``. Tests of rules, also those that users write, call ``throttle``, and set ``rule_set``.

    A rule is called with the throttler. It may read ``products``, ``product_packagenames`` and ``now``. If it rejects a
    crash because its product is on no list, it records that in ``unlisted``. Rules that sample draw from ``rng``. The
    other attributes are not for rules.
    """

    class Config:
        """Options, in the throttler's own namespace."""

        rules = Option(
            default="antenna.throttler.MOZILLA_RULES",
            doc="Rules that decide whether a crash is kept. The first rule that matches decides.",
            parser=parse_rules,
        )
        products = Option(
            default="antenna.throttler.MOZILLA_PRODUCTS",
            doc="Products whose crashes are kept. If the list is empty, those of every product are.",
            parser=parse_products,
        )
        product_packagenames = Option(
            default="antenna.throttler.MOZILLA_PRODUCT_PACKAGENAMES",
            doc="Android packages, for each product, whose crashes are kept. If a product has none listed, all are.",
            parser=parse_product_packagenames,
        )

    def __init__(
        self,
        config: ConfigManager,
        *,
        rng: Random = random,
        now: Callable[[], datetime] = utc_now,
        shared_file: int | None = None,
    ) -> None:
        """``shared_file`` is the file of all workers, see ``antenna.shared_file``. Raises ``ConfigurationError``."""
        self.config = config.with_options(self)
        self.rng = rng
        self.now = now
        self.unlisted = UnlistedNames(shared_file)
        self._loader = RulesLoader(self.config, LastGood(shared_file))
        self._quotas = Quotas(shared_file)
        self._rules_reported: set[str] = set()
        self.policy: Policy = self._loader.load()

    @property
    def rule_set(self) -> Sequence[Rule]:
        """The rules in order. Tests of rules may set others."""
        return self.policy.rules

    @rule_set.setter
    def rule_set(self, rules: Sequence[Rule]) -> None:
        self.policy = replace(self.policy, rules=tuple(rules))

    @property
    def products(self) -> Sequence[str]:
        """The supported products. If there are none, every product is supported."""
        return self.policy.products

    @property
    def product_packagenames(self) -> Mapping[str, Sequence[str]]:
        """The supported Android packages of each product. If a product has none, every package is supported."""
        return self.policy.product_packagenames

    @property
    def problem(self) -> str:
        """What is wrong with the rules that the options name. It is empty if nothing is.

        Until it is mended, the rules that were loaded before decide.
        """
        return self._loader.problem

    def check_rules(self) -> None:
        """Raise ``BrokenRulesError`` while the rules are broken. ``/__heartbeat__`` calls this."""
        if self.problem:
            raise BrokenRulesError(self.problem)

    def start(self) -> None:
        """Log which rules decide, and check in the background whether they have changed."""
        self._say_which()
        gevent.spawn(self._loader.watch, self._replace)

    def _replace(self, policy: Policy) -> None:
        self.policy = policy
        self._rules_reported.clear()
        self._say_which()

    def _say_which(self) -> None:
        policy = self.policy
        counts = f"{len(policy.rules)} rules, {len(policy.products)} products"
        logger.info("rules: %s, sha256 %s: %s", policy.name, policy.digest, counts)

    def throttle(self, raw_crash: Mapping[str, Any]) -> tuple[Result, str, float]:
        """Return the result for a crash, the name of the rule that decided, and the percentage of that rule.

        This is for tests of rules. The collector calls ``judge``, which returns more.
        ``raw_crash`` has the annotations, and may have ``metadata``. The percentage is 100 for a rule that does not
        sample, and 0 for ``NO_MATCH``.
        """
        verdict = self.judge(raw_crash)
        return verdict.result, verdict.rule_name, verdict.percentage

    def judge(self, annotations: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Verdict:
        """Return the decision about a crash.

        Rules find ``metadata``, the facts about the request, under that name among the annotations.
        """
        crash = CrashView(annotations, metadata)
        policy = self.policy
        remove: tuple[str, ...] = ()
        for rule in policy.rules:
            try:
                matches = rule.match(self, crash)
            except Exception as exc:  # noqa: BLE001 - a faulty rule must neither lose nor fail a crash
                self._report(rule, exc)
                continue
            if matches:
                remove += rule.remove
                result, percentage = rule.decide(self.rng, crash)
                if result is not CONTINUE:
                    verdict = Verdict(result, rule.rule_name, percentage, rule.stop_sending, remove, policy)
                    return self._within_quota(verdict, crash)
        return Verdict(REJECT, NO_MATCH, 0, policy=policy)

    def _within_quota(self, verdict: Verdict, crash: CrashView) -> Verdict:
        quota = verdict.policy.quota
        if quota is None or verdict.result not in (ACCEPT, DEFER):
            return verdict
        if self._quotas.allows(verdict.policy, crash.identify("product")):
            return verdict
        return replace(verdict, result=quota.otherwise, rule_name=quota.name, percentage=100, stop_sending=False)

    def _report(self, rule: Rule, exc: Exception) -> None:
        # Messages of exceptions, and chained exceptions, can contain values of annotations. So only the type is
        # reported.
        message = f"throttle rule {rule.rule_name} raised {type(exc).__name__}; skipped"
        metrics.incr("rule_error", tags=[f"rule:{rule.rule_name}"])
        extra: dict[str, object] = {"event": "rule_error", "rule": rule.rule_name, "reason": type(exc).__name__}
        extra |= {"place": place_of(exc), "once": message}
        if rule.rule_name not in self._rules_reported:  # Sentry gets one event for each rule
            self._rules_reported.add(rule.rule_name)
            extra["tell_sentry"] = RuleError(message).with_traceback(exc.__traceback__)
        logger.warning("%s", message, extra=extra)
