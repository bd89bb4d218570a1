# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Builds the viewer: its index, its consumer, its pages and its webhook."""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import falcon

from antenna.config import build_config, describe_unknown
from antenna.ext import CrashStorageBase
from antenna.symbols import Store
from antenna.viewer.access import Access, is_for_tools
from antenna.viewer.consumer import Consumer
from antenna.viewer.consumer.choice import choose_source
from antenna.viewer.crash_reader import CrashReader
from antenna.viewer.index import Index, advice
from antenna.viewer.options import INDEX_FILE, StorageConfig, ViewerConfig, misspelt_names, symbols_dir
from antenna.viewer.pages import Headers, Pages
from antenna.viewer.resources.api import CrashResource, FieldsResource, SuperSearchResource
from antenna.viewer.resources.lists import (
    HealthResource,
    StatusResource,
    StyleResource,
    SymbolsResource,
)
from antenna.viewer.resources.login import LoginResource
from antenna.viewer.resources.report import ReportResource
from antenna.viewer.resources.search import SearchResource
from antenna.viewer.resources.signature import SignatureResource
from antenna.viewer.resources.symbolicate import SymbolicateResource
from antenna.viewer.resources.top import TopCrashersResource
from antenna.viewer.sampling import kept_percentages
from antenna.viewer.searcher import Searcher
from antenna.viewer.symbolication import Symbolicator

if TYPE_CHECKING:
    from antenna.viewer.webhook import Messenger

logger = logging.getLogger(__name__)


class ViewerApp(falcon.App[falcon.Request, falcon.Response]):
    """The WSGI application. Start ``consumer.run`` in a greenlet beside it, and ``webhook.run`` if there is one."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Build everything from the environment. Raises ``ConfigurationError``, ``OSError``, ``sqlite3.Error``."""
        environ = os.environ if environ is None else environ
        config = build_config(environ)
        self.options = ViewerConfig(config)
        for name, meant in misspelt_names(environ):
            logger.warning("%s", describe_unknown(name, meant))
        storage = StorageConfig(config.with_namespace("crashmover")).storage
        symbols = symbols_dir(environ, storage)
        store = None if symbols is None else Store(symbols)
        self.symbolicator = Symbolicator(store)
        self._index = index = Index(self.options.data_dir / INDEX_FILE)
        self.reader = CrashReader(storage, symbols, allowed=self.options.annotations)
        self.consumer = Consumer(
            choose_source(self.options, config, storage, index),
            self.reader,
            index,
            store=store,
            keep_days=self.options.keep_days,
        )
        self.webhook = self._make_webhook(index)
        access = Access(self.options)
        self.searcher = Searcher(index.path, self.options.annotations)
        super().__init__(middleware=[access, Headers()])
        self._pages = Pages()
        self._percentages = kept_percentages(config)
        # The handler that was added last is asked first.
        self.add_error_handler(Exception, self._answer_failure)
        self.add_error_handler(falcon.HTTPError, self._answer_error)
        self.add_error_handler(sqlite3.Error, self._answer_index_error)
        self._add_routes(access, index, storage)

    def _make_webhook(self, index: Index) -> "Messenger | None":
        if not self.options.webhook:
            return None
        from antenna.viewer.webhook import Announcer, Messenger  # noqa: PLC0415 - requests takes a tenth of the start

        index.watch = Announcer(index.database, self.options.url).note
        # Until all crashes have been read once, an older crash with the same signature may still come.
        return Messenger(index.database, self.options.webhook, lambda: self.consumer.state.looked is not None)

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request. WSGI servers call this. HEAD is answered like GET, without the content."""
        if env["REQUEST_METHOD"] != "HEAD":
            return super().__call__(env, start_response)
        content = super().__call__(env | {"REQUEST_METHOD": "GET"}, start_response)
        if hasattr(content, "close"):
            content.close()
        return []

    def close(self) -> None:
        """End the child process and close the index."""
        self.reader.close()
        self._index.close()

    def _add_routes(self, access: Access, index: Index, storage: CrashStorageBase) -> None:
        pages = self._pages
        report = ReportResource(index, storage, pages)
        self.add_route("/", TopCrashersResource(index, pages, self._percentages))
        self.add_route("/signature/", SignatureResource(index, pages))
        self.add_route("/report/{crash_id}", report)
        self.add_route("/report/{crash_id}/json", report, suffix="json")
        self.add_route("/report/{crash_id}/raw", report, suffix="raw")
        self.add_route("/report/{crash_id}/dump/{name}", report, suffix="dump")
        search = SearchResource(index, self.searcher, pages)
        self.add_route("/search", search)
        self.add_route("/search/", search)
        self.add_route("/search/form", search, suffix="form")
        self.add_route("/symbols", SymbolsResource(index, pages))
        self.add_route("/status", StatusResource(index, self.consumer.state, self.options, pages, self.webhook))
        self.add_route("/login", LoginResource(access, pages))
        self.add_route("/static/viewer.css", StyleResource())
        self.add_route("/__lbheartbeat__", HealthResource())

        self._add_api(report)

    def _add_api(self, report: ReportResource) -> None:
        """Add the routes for tools. The names with capitals, and the slash behind them, are those of Crash Stats."""
        search, fields = SuperSearchResource(self.searcher), FieldsResource(self.searcher)
        crash = CrashResource(report, self.searcher)
        self.add_route("/report/index/{crash_id}", crash, suffix="index")
        self.add_route("/symbolicate/v5", SymbolicateResource(self.symbolicator))
        for end in ("", "/"):
            for name in ("search", "SuperSearch", "SuperSearchUnredacted"):
                self.add_route(f"/api/{name}{end}", search)
            self.add_route(f"/api/SuperSearchFields{end}", fields)
            self.add_route(f"/api/report/{{crash_id}}{end}", crash, suffix="processed")
            self.add_route(f"/api/ProcessedCrash{end}", crash, suffix="processed")
            self.add_route(f"/api/RawCrash{end}", crash, suffix="raw")

    def _answer_failure(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, object]
    ) -> None:
        """Log an unexpected error, and answer 500."""
        logger.error("%s %s failed", req.method, req.path, exc_info=error)
        problem = falcon.HTTPInternalServerError(title="The viewer failed", description="Its log says why.")
        self._answer_error(req, resp, problem, params)

    def _answer_index_error(
        self, req: falcon.Request, resp: falcon.Response, error: sqlite3.Error, params: dict[str, object]
    ) -> None:
        """Answer that the index cannot be read or written: its disk is full, or its file is damaged."""
        logger.error("%s %s failed: %s: %s", req.method, req.path, self._index.path, error)
        problem = falcon.HTTPServiceUnavailable(title="The index cannot be used", description=advice(error))
        self._answer_error(req, resp, problem, params)

    def _answer_error(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _: dict[str, object]
    ) -> None:
        """Answer an error with a page, or with JSON if the path is one for tools."""
        resp.status = error.status
        for name, value in (error.headers or {}).items() if isinstance(error.headers, dict) else ():
            resp.set_header(name, value)
        if is_for_tools(req.path):
            resp.media = {"error": error.title, "description": error.description}
            return
        self._pages.render(resp, "error.html", title=error.title, description=error.description or "")
