# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes tables of the results of a search, in the formats that tools for Crash Stats read."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from bin import _common  # isort: split

FORMATS = ("table", "tab", "csv", "markdown", "json")

# A table: its name, the headings and the rows.
Table = tuple[str, list[str], list[list[Any]]]

# The text in the last row of a facet.
TOTAL = "total"


def lines(kind: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], *, with_headings: bool) -> Iterator[str]:
    """Yield the lines of a table in one of ``FORMATS``."""
    if kind == "json":
        yield json.dumps([dict(zip(headings, row, strict=True)) for row in rows])
        return
    cells = [[cell(value) for value in row] for row in rows]
    every = [list(map(cell, headings)), *cells] if with_headings else cells
    if kind == "csv":
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(every)
        yield from buffer.getvalue().splitlines()
    elif kind == "markdown":
        for number, row in enumerate(every):
            yield " | ".join(text.replace("|", "\\|") for text in row)
            if with_headings and not number:
                yield " | ".join("-" * max(3, len(text)) for text in row)
    elif kind == "tab":
        yield from ("\t".join(row) for row in every)
    else:
        widths = [max(map(len, column)) for column in zip(*every, strict=True)] if every else []
        for row in every:
            yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def cell(value: Any) -> str:
    """Return a value as one line of text. Tabs, line breaks and control characters are escaped."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else ";".join(value) if isinstance(value, list) else json.dumps(value)
    for char, name in (("\t", "\\t"), ("\r", "\\r"), ("\n", "\\n")):
        text = text.replace(char, name)
    return _common.printable(text)


def facet_tables(facets: dict[str, Any], total: int) -> Iterator[Table]:
    """Yield a table for each facet: its name, headings and rows."""
    for name, facet in facets.items():
        if isinstance(facet, dict):
            yield name, [name, "value"], [["value", facet["value"]]]
        elif name.startswith("histogram_"):
            yield from _histogram(name, facet)
        else:
            rows = [[bucket["term"], bucket["count"]] for bucket in facet]
            yield name, [name, "count"], [*rows, [TOTAL, total]]
            for below in dict.fromkeys(below for bucket in facet for below in bucket.get("facets", {})):
                yield from _nested(f"{name} / {below}", [(str(bucket["term"]), bucket, below) for bucket in facet])


def _nested(name: str, places: list[tuple[str, dict[str, Any], str]]) -> Iterator[Table]:
    """Yield the table of a facet below another one, and those below it. A term follows the terms above it."""
    rows: list[list[Any]] = []
    deeper: dict[str, list[tuple[str, dict[str, Any], str]]] = {}
    for path, bucket, facet in places:
        found = bucket.get("facets", {}).get(facet, [])
        if isinstance(found, dict):
            rows.append([path, found["value"]])
            continue
        for below in found:
            term = f"{path} / {cell(below['term'])}"
            rows.append([term, below["count"]])
            for inner in below.get("facets", {}):
                deeper.setdefault(inner, []).append((term, below, inner))
    yield name, [name, "count"], rows
    for inner, those in deeper.items():
        yield from _nested(f"{name} / {inner}", those)


def _histogram(name: str, buckets: list[dict[str, Any]]) -> Iterator[Table]:
    """Yield a table for each facet of a histogram: a row for each range, and a column for each term."""
    for below in dict.fromkeys(below for bucket in buckets for below in bucket.get("facets", {})):
        found = [(_start(bucket["term"]), bucket["count"], bucket["facets"].get(below, [])) for bucket in buckets]
        if below.startswith("cardinality_"):
            yield f"{name}.{below}", [name, "value"], [[start, facet["value"]] for start, _, facet in found]
            continue
        terms = sorted({cell(one["term"]) for _, _, facet in found for one in facet})
        rows = []
        for start, count, facet in found:
            counts = {cell(one["term"]): one["count"] for one in facet}
            rows.append([start, *(counts.get(term, 0) for term in terms), count])
        yield f"{name}.{below}", [name, *terms, TOTAL], rows


def _start(term: Any) -> Any:
    """Return the beginning of a range. If that is midnight, return only the day."""
    return term.removesuffix("T00:00:00+00:00") if isinstance(term, str) else term
