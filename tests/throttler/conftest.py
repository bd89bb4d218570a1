# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A throttler for tests. It has any rules, a clock that stands still, and samples that can be repeated."""

import random
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import pytest

from antenna.config import build_config
from antenna.throttler import MOZILLA_PRODUCT_PACKAGENAMES, MOZILLA_PRODUCTS, MOZILLA_RULES, Throttler

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class BuildThrottler(Protocol):
    def __call__(
        self,
        *,
        rules: object = MOZILLA_RULES,
        products: object = MOZILLA_PRODUCTS,
        product_packagenames: object = MOZILLA_PRODUCT_PACKAGENAMES,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = ...,
    ) -> Throttler: ...


@pytest.fixture
def build_throttler(monkeypatch: pytest.MonkeyPatch) -> BuildThrottler:
    """Build a throttler with these Python objects. Options name them by their dotted paths, as in production."""

    def build(
        *,
        rules: object = MOZILLA_RULES,
        products: object = MOZILLA_PRODUCTS,
        product_packagenames: object = MOZILLA_PRODUCT_PACKAGENAMES,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = lambda: NOW,
    ) -> Throttler:
        module = types.ModuleType("configured_by_test")
        vars(module).update(RULES=rules, PRODUCTS=products, PRODUCT_PACKAGENAMES=product_packagenames)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        config = build_config({name: f"{module.__name__}.{name}" for name in vars(module) if name.isupper()})
        return Throttler(config, rng=rng or random.Random(1), now=now)

    return build
