# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs searches in native threads, a few at a time, while the viewer answers other requests."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gevent.lock import BoundedSemaphore

from antenna.hub import run_blocking
from antenna.viewer.rows import HARMLESS
from antenna.viewer.supersearch.conditions import QueryError, parse
from antenna.viewer.supersearch.fields import FieldList
from antenna.viewer.supersearch.query import Column, Query, parse_query
from antenna.viewer.supersearch.search import TIMEOUT, Search, SearchTimeoutError

# Searches at a time. Each takes a native thread of the common pool, and the storage needs some of these, too. Further
# searches wait.
_CONCURRENCY = 3
# Most parameters of a URL. No search can use as many.
_MAX_PARAMETERS = 500


class Searcher:
    """Searches an index, each time in a native thread with a connection of its own."""

    def __init__(self, path: Path, allowed: frozenset[str], *, timeout: float = TIMEOUT) -> None:
        """``path`` is the path of the index. ``allowed`` are annotations that summaries show beside ``HARMLESS``."""
        self.fields = FieldList(HARMLESS | allowed)
        self._path = path
        self._timeout = timeout
        self.slots = BoundedSemaphore(_CONCURRENCY)

    def search(self, params: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the answer to a search with these parameters. Raises ``QueryError`` and ``SearchTimeoutError``."""
        return self.answer(parse_query(params, self.fields, time.time()))

    def facts(self, crash_id: str) -> dict[str, Any]:
        """Return the fields of a crash that have a value, by name. It is empty if the crash is not in the index."""
        columns = [Column(field.name, field) for field in self.fields]
        condition = parse(columns[1].field, crash_id)
        found = self.answer(Query([condition], columns, [columns[0]], number=1))["hits"]
        return {name: value for name, value in found[0].items() if value not in (None, [])} if found else {}

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the answer to a query. Raises ``QueryError`` and ``SearchTimeoutError``."""
        if not self.slots.acquire(timeout=self._timeout):
            raise SearchTimeoutError
        try:
            return run_blocking(self._answer, query)
        finally:
            self.slots.release()

    def _answer(self, query: Query) -> dict[str, Any]:
        search = Search(self._path, timeout=self._timeout)
        try:
            return search.answer(query)
        finally:
            search.close()


def parse_parameters(query_string: str) -> dict[str, list[str]]:
    """Return the parameters of a URL, each with all of its values. Raises ``QueryError`` if there are too many."""
    try:
        return parse_qs(query_string, errors="replace", max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise QueryError(f"there are more than {_MAX_PARAMETERS} parameters") from error
