# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/search``: finds crashes by words, or by fields, as Crash Stats' Super Search does."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import falcon

from antenna.crash import crash_id as crash_ids
from antenna.viewer.index import Index
from antenna.viewer.index.queries import Queries
from antenna.viewer.pages import Pages
from antenna.viewer.resources.api import TOOK_TOO_LONG
from antenna.viewer.searcher import Searcher, parse_parameters
from antenna.viewer.supersearch.conditions import NOT, NULL, QueryError
from antenna.viewer.supersearch.fields import FieldList
from antenna.viewer.supersearch.search import SearchTimeoutError

# The columns, and the numbers of crashes and of values of a facet, if the URL has no parameters for them.
_COLUMNS = ("date", "signature", "product", "version", "platform", "reason")
_CRASHES, _VALUES = 50, 20
# Conditions that the form has at least, and most of those in a URL that it shows.
_ROWS, _MAX_ROWS = 3, 20

#: The operators of the form: the text in front of the value, and the name.
OPERATORS = (
    ("", "has"), ("=", "is exactly"), ("~", "contains"), ("^", "starts with"), ("$", "ends with"),
    ("@", "matches regex"), (">=", "at least"), (">", "above"), ("<=", "at most"), ("<", "below"),
    (NULL, "has no value"), ("__true__", "is true"),
    ("!", "has not"), ("!=", "is not"), ("!~", "contains not"), ("!^", "starts not with"), ("!$", "ends not with"),
    ("!@", "matches not regex"), ("!__null__", "has a value"), ("!__true__", "is not true"),
)  # fmt: skip
_BARE = frozenset({NULL, "__true__", "!__null__", "!__true__"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the form, which has a condition."""

    field: str = ""
    operator: str = ""
    value: str = ""


class SearchResource:
    """The page with the form, and with the crashes that were found."""

    def __init__(self, index: Index, searcher: Searcher, pages: Pages) -> None:
        """``index`` finds crashes by words, ``searcher`` by fields."""
        self._index = index
        self._queries = Queries(index.database)
        self._searcher = searcher
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the crashes for the words ``q``, or for the parameters. For a crash id, redirect to its page."""
        words = req.get_param("q")
        if words is not None:
            self._search_words(words.strip(), resp)
        else:
            self._search_fields(req, resp)

    def on_get_form(self, req: falcon.Request, _: falcon.Response) -> None:
        """Redirect the sent form to the URL of the search that it describes."""
        params = parse_qsl(req.query_string, errors="replace", keep_blank_values=True)
        raise falcon.HTTPSeeOther(f"/search?{urlencode(list(written_out(params)))}")

    def _search_words(self, query: str, resp: falcon.Response) -> None:
        crash_id = query.removeprefix("bp-").lower()
        if crash_ids.is_valid(crash_id) and self._index.has(crash_id):
            raise falcon.HTTPSeeOther(f"/report/{crash_id}")
        self._pages.render(resp, "search.html", query=query, crashes=self._queries.search(query))

    def _search_fields(self, req: falcon.Request, resp: falcon.Response) -> None:
        errors: list[str] = []
        params: dict[str, list[str]] = {}
        columns = list(_COLUMNS)
        answer: dict[str, Any] | None = None
        try:
            params = parse_parameters(req.query_string)
            columns = params.get("_columns", columns)
            asked = {
                "_results_number": [str(_CRASHES)],
                "_facets_size": [str(_VALUES)],
                **params,
                "_columns": ["uuid", *columns],
            }
            answer = self._searcher.search(asked)
        except QueryError as error:
            errors = str(error).splitlines()
            resp.status = falcon.HTTP_BAD_REQUEST
        except SearchTimeoutError:
            errors = [TOOK_TOO_LONG]
            resp.status = falcon.HTTP_SERVICE_UNAVAILABLE
        self._pages.render(
            resp,
            "supersearch.html",
            answer=answer,
            errors=errors,
            columns=columns,
            form=form_of(params, self._searcher.fields),
            operators=OPERATORS,
            fields=sorted({field.name for field in self._searcher.fields}),
            pages=[] if answer is None else list(_other_pages(params, answer)),
            command=_command(params),
            query=urlencode(params, doseq=True),
            narrowed=lambda name, term: _narrowed(params, name, term),
        )


def written_out(params: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters of the search that the sent form describes."""
    found: dict[str, list[str]] = {}
    for name, value in params:
        found.setdefault(name, []).append(value.strip())
    search = []
    rows = zip(found.get("field", []), found.get("op", []), found.get("value", []), strict=False)
    for field, operator, value in rows:
        if field and (value or operator in _BARE):
            search.append((field, operator if operator in _BARE else operator + value))
    for name, operator in (("from", ">="), ("before", "<")):
        search += [("date", operator + value) for value in found.get(name, []) if value]
    by, then = (next(iter(found.get(name, [])), "") for name in ("by", "then"))
    if by:
        search.append((f"_aggs.{by}", then) if then else ("_facets", by))
    search += [("_columns", name) for text in found.get("columns", []) for name in text.replace(",", " ").split()]
    search += [("_sort", value) for value in found.get("sort", []) if value]
    return search


def form_of(params: dict[str, list[str]], fields: FieldList) -> dict[str, Any]:
    """Return the content of the form for the parameters of a search."""
    rows = []
    for name, values in params.items():
        field = fields.find(name)
        if not name.startswith("_") and name != "date":
            rows += [_row(name if field is None else field.name, value) for value in values]
    dates = params.get("date", [])
    by, then = next(
        ((name.removeprefix("_aggs."), values[0]) for name, values in params.items() if name.startswith("_aggs.")),
        (next(iter(params.get("_facets", [])), ""), ""),
    )
    return {
        "rows": [*rows[:_MAX_ROWS], *[Row()] * max(1, _ROWS - len(rows))],
        "from": next((value[2:] for value in dates if value.startswith(">=")), ""),
        "before": next((value[1:] for value in dates if value.startswith("<") and value[1:2] != "="), ""),
        "by": by,
        "then": then,
        "columns": " ".join(params.get("_columns", [])),
        "sort": next(iter(params.get("_sort", [])), ""),
    }


def _row(field: str, value: str) -> Row:
    known = sorted((operator for operator, _ in OPERATORS if operator), key=len, reverse=True)
    operator = next((operator for operator in known if value.startswith(operator)), "")
    if operator in _BARE and value != operator:
        operator = NOT if operator.startswith(NOT) else ""
    return Row(field, operator, value[len(operator) :])


def _other_pages(params: dict[str, list[str]], answer: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the names and URLs of the pages before and after this one."""
    number = int(params.get("_results_number", [str(_CRASHES)])[-1])
    offset = int(params.get("_results_offset", ["0"])[-1])
    for name, start in (("Newer", offset - number), ("More", offset + number)):
        if number and -number < start < answer["total"] and (name == "More" or offset):
            url = urlencode(params | {"_results_offset": [str(max(0, start))]}, doseq=True)
            yield ("Back" if name == "Newer" else name), f"/search?{url}"


def _narrowed(params: dict[str, list[str]], name: str, term: object) -> str:
    """Return the URL of the same search, narrowed to one value of a field."""
    kept = {key: values for key, values in params.items() if key not in {"_results_offset", name}}
    return f"/search?{urlencode(kept | {name: [f'={term}' if isinstance(term, str) else str(term)]}, doseq=True)}"


def _command(params: dict[str, list[str]]) -> str:
    """Return the command line that makes the same search."""
    arguments = [f"--{name}={value}" for name, values in params.items() for value in values]
    return shlex.join(["bin/supersearch.py", *arguments])
