# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/symbols``, ``/status``, ``/static/viewer.css`` and ``/__lbheartbeat__``."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import falcon

from antenna.viewer.consumer import State
from antenna.viewer.index import Index
from antenna.viewer.index.queries import Queries
from antenna.viewer.options import ViewerConfig
from antenna.viewer.pages import Pages

if TYPE_CHECKING:
    from antenna.viewer.webhook import Messenger

_STYLE = Path(__file__).resolve().parents[1] / "static" / "viewer.css"


class SymbolsResource:
    """Shows which symbols are missing, those of most crashes first."""

    def __init__(self, index: Index, pages: Pages) -> None:
        """``index`` knows the modules whose symbols are missing."""
        self._queries = Queries(index.database)
        self._pages = pages

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page."""
        self._pages.render(resp, "symbols.html", modules=self._queries.missing())


class StatusResource:
    """Shows how many crashes the viewer has read, and which of them it could not read."""

    def __init__(
        self, index: Index, state: State, config: ViewerConfig, pages: Pages, webhook: "Messenger | None"
    ) -> None:
        """``state`` is that of the consumer. ``webhook`` is None if the team has none."""
        self._webhook = webhook
        self._index = index
        self._queries = Queries(index.database)
        self._state = state
        self._config = config
        self._pages = pages

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page."""
        self._pages.render(
            resp,
            "status.html",
            state=self._state,
            totals=self._queries.totals(),
            failures=self._queries.failures(),
            size=sum(file.stat().st_size for file in self._index.files()),
            free=shutil.disk_usage(self._index.path.parent).free,
            config=self._config,
            webhook=self._webhook,
        )


class StyleResource:
    """The style sheet."""

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the style sheet."""
        resp.content_type = "text/css"
        resp.data = _STYLE.read_bytes()


class HealthResource:
    """Tells health checks that the viewer serves."""

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer with 200."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = ""
