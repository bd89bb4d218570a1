# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/signature/``: the page of one signature, with its crashes and the notes about it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import falcon

from antenna.viewer.charts import COLOURS, OTHERS, Column, bars, legend
from antenna.viewer.index import Index
from antenna.viewer.index.queries import FACETS, Queries
from antenna.viewer.index.top import came_back
from antenna.viewer.pages import Pages, day, read_form

_CHART_DAYS = 30
_FACET_VALUES = 10
# Characters of a version and of a note that people enter. The rest is cut off.
_MAX_VERSION, _MAX_NOTE = 100, 2000


class SignatureResource:
    """Shows a signature, and keeps the notes that people write about it."""

    def __init__(self, index: Index, pages: Pages) -> None:
        """``index`` has the crashes and the notes."""
        self._index = index
        self._queries = Queries(index.database)
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page of the parameter ``signature``."""
        text = req.get_param("signature") or ""
        found = self._queries.signature(text)
        if found is None:
            raise falcon.HTTPNotFound(title="No crash in the index has this signature", description=text)
        columns = self._columns(found["id"])
        facets = self._queries.facets(found["id"])
        self._pages.render(
            resp,
            "signature.html",
            req=req,
            signature=found,
            came_back=came_back(found["fixed_in"], list(facets["version"])),
            chart=bars(columns),
            legend=legend(columns),
            facets=[(heading, _most(facets[column], _FACET_VALUES)) for column, heading in FACETS.items()],
            crashes=self._queries.newest(found["id"]),
        )

    def on_post(self, req: falcon.Request, _: falcon.Response) -> None:
        """Save the note of the form for the signature in the URL, and show its page again."""
        text = req.get_param("signature") or ""
        form = read_form(req)
        if self._queries.signature(text) is None:
            raise falcon.HTTPNotFound(title="No crash in the index has this signature", description=text)
        self._index.save_opinion(
            text,
            fixed_in=form.get("fixed_in", "").strip()[:_MAX_VERSION],
            note=form.get("note", "").strip()[:_MAX_NOTE],
        )
        raise falcon.HTTPSeeOther(f"/signature/?signature={falcon.uri.encode_value(text)}")

    def _columns(self, signature: int) -> list[Column]:
        today = datetime.now(UTC).date()
        days = [f"{today - timedelta(days=number):%Y%m%d}" for number in reversed(range(_CHART_DAYS))]
        counts = self._queries.a_day_by_version(signature, days[0])
        totals: Counter[str] = Counter()
        for _, version, count in counts:
            totals[version] += count
        drawn = {version: version or "no version" for version, _ in _most(totals, COLOURS - 1)}
        found: dict[str, Counter[str]] = {one: Counter() for one in days}
        for one, version, count in counts:
            # If the clock of a collector is fast, a crash may be of a day that has not come yet.
            found.setdefault(one, Counter())[drawn.get(version, OTHERS)] += count
        return [(day(one), list(parts.items())) for one, parts in found.items()]


def _most(counts: Counter[str], number: int) -> list[tuple[str, int]]:
    """Return the ``number`` most frequent values. Values with equal counts are in the order of the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]
