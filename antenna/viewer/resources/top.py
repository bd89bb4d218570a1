# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/``: the first page, with the signatures that have most crashes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import falcon

from antenna.viewer.charts import bars
from antenna.viewer.index import Index
from antenna.viewer.index.top import Filter, TopCrashers
from antenna.viewer.pages import Pages, day

#: The periods that the page offers, in days.
PERIODS = (1, 3, 7, 14, 30, 90)
_DEFAULT_PERIOD = 7


class TopCrashersResource:
    """Shows the signatures with most crashes in a period."""

    def __init__(self, index: Index, pages: Pages, percentages: Mapping[str, float]) -> None:
        """``percentages`` has the throttle rules that keep only a part of their crashes, with that part in percent."""
        self._percentages = percentages
        self._top = TopCrashers(index.database)
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page. The parameters ``days``, ``product``, ``version`` and ``channel`` select crashes."""
        days = req.get_param_as_int("days", min_value=1, max_value=3650, default=_DEFAULT_PERIOD)
        chosen, before = _filter(req, days, 0), _filter(req, days, days)
        product = Filter(chosen.first, chosen.last, chosen.product)
        by_day = self._top.a_day(chosen)
        self._pages.render(
            resp,
            "top.html",
            req=req,
            chosen=chosen,
            days=days,
            periods=sorted({*PERIODS, days}),
            total=sum(by_day.values()),
            chart=bars([(day(one), [("crashes", by_day.get(one, 0))]) for one in _days(days, 0)]),
            has_crashes=bool(self._top.first_day()),
            crashers=self._top.top(chosen, before),
            products=self._top.choices("product", Filter(chosen.first, chosen.last)),
            versions=self._top.newest_versions(product),
            channels=self._top.choices("channel", product),
            percentages=self._percentages,
            rules=self._top.choices("rule", chosen),
        )


def _filter(req: falcon.Request, days: int, back: int) -> Filter:
    found = _days(days, back)
    product, version, channel = (req.get_param(name) or "" for name in ("product", "version", "channel"))
    return Filter(found[0], found[-1], product, version, channel)


def _days(count: int, back: int) -> list[str]:
    """Return ``count`` days as YYYYMMDD. The last of them is ``back`` days ago."""
    today = datetime.now(UTC).date() - timedelta(days=back)
    return [f"{today - timedelta(days=number):%Y%m%d}" for number in reversed(range(count))]
