# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the throttle rules that keep only a part of their crashes, so that pages can tell which part."""

import logging
from collections.abc import Iterable

from antenna.config import ConfigManager, ConfigurationError
from antenna.throttler import ACCEPT, DEFER, Rule, Throttler

logger = logging.getLogger(__name__)


def kept_percentages(config: ConfigManager) -> dict[str, float]:
    """Return, by its name, the percentage of each rule that keeps a part of its crashes.

    ``config`` has no namespace. The rules are those that the collector's options name. If they cannot be loaded, for
    example because the collector is on another machine, the result is empty.
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
