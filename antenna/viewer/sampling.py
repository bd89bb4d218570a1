# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tells how many of the crashes that come in the throttle rules keep."""

import logging
from collections.abc import Iterable

from antenna.config import ConfigManager, ConfigurationError
from antenna.throttler import ACCEPT, DEFER, Rule, Throttler

logger = logging.getLogger(__name__)


def kept_percentages(config: ConfigManager) -> dict[str, float]:
    """Return the percentage of each rule that keeps a part of its crashes, by its name.

    ``config`` has no namespace; the rules are those of the collector's own options. Without them, as beside a collector
    on another machine, nothing is known.
    """
    try:
        return sampled(Throttler(config.with_namespace("breakpad").with_namespace("throttler")).rule_set)
    except ConfigurationError as error:
        logger.warning("pages do not tell what throttle rules keep: %s", error)
        return {}


def sampled(rules: Iterable[Rule]) -> dict[str, float]:
    """Return the percentages of the rules that keep a part of their crashes."""
    found = {}
    for rule in rules:
        if isinstance(rule.result, tuple):
            percentage, chosen, others = rule.result
            kept = percentage * (chosen in {ACCEPT, DEFER}) + (100 - percentage) * (others in {ACCEPT, DEFER})
            if 0 < kept < 100:  # noqa: PLR2004 - percent
                found[rule.rule_name] = kept
    return found
