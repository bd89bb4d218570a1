# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The page ``/search``: its form writes the URL of a search, and shows what a URL asks."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from antenna.viewer.resources.search import OPERATORS, Row, form_of, written_out
from antenna.viewer.rows import HARMLESS
from antenna.viewer.supersearch.fields import FieldList
from tests.support.minidumps import samples
from tests.support.viewer import RunningViewer
from tests.viewer.conftest import reading_in_process
from tests.viewer.test_pages import ATTRIBUTES, ELEMENTS, HOSTILE, Page

FIELDS = FieldList(HARMLESS)


def form(**fields: str | list[str]) -> str:
    return urlencode(fields, doseq=True)


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        (form(), ""),
        (form(field=["", "product"], op=["", ""], value=["x", ""]), ""),
        (form(field="product", op="", value=" Firefox "), "product=Firefox"),
        (form(field=["product", "version"], op=["!=", ">="], value=["a&b", "1.2"]), "product=!=a%26b&version=>=1.2"),
        (form(field="reason", op="__null__", value="left over"), "reason=__null__"),
        (form(**{"from": "2026-11-01", "before": "2026-11-27"}), "date=>=2026-11-01&date=<2026-11-27"),
        (form(by="product"), "_facets=product"),
        (form(by="product", then="version"), "_aggs.product=version"),
        (form(then="version"), ""),
        (form(columns="uuid, version", sort="-date"), "_columns=uuid&_columns=version&_sort=-date"),
        (form(field=["a", "b"], op="="), ""),
    ],
)
def test_the_form_writes_the_url(empty_viewer: RunningViewer, fields: str, query: str) -> None:
    answer = empty_viewer.client.simulate_get(f"/search/form?{fields}", host="127.0.0.1")
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert (target.netloc, target.path) == ("", "/search")
    assert parse_qsl(target.query) == parse_qsl(query)


@pytest.mark.parametrize("operator", [operator for operator, _ in OPERATORS])
def test_the_form_shows_what_it_wrote(operator: str) -> None:
    is_bare = operator.endswith("__")
    params: dict[str, list[str]] = {}
    written = written_out([("field", "signature"), ("op", operator), ("value", "Foo"), ("from", "2026-11-01")])
    for name, value in written:
        params.setdefault(name, []).append(value)
    found = form_of(params, FIELDS)
    assert found["rows"][0] == Row("signature", operator, "" if is_bare else "Foo")
    assert (found["from"], found["before"]) == ("2026-11-01", "")


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer of 61 crashes, of which one is hostile."""
    viewer = RunningViewer(tmp_path_factory.mktemp("searched"))
    for number in range(60):
        viewer.crashes.add({"ProductName": "MyApp", "Version": f"1.{number % 2}"})
    viewer.crashes.add({"ProductName": HOSTILE, "Version": HOSTILE, "MozCrashReason": HOSTILE}, samples.crash())
    with reading_in_process():
        viewer.look()
    yield viewer
    viewer.close()


def test_the_page_shows_crashes_facets_and_how_to_go_on(viewer: RunningViewer) -> None:
    page = Page(viewer.get("/search?product=MyApp&_aggs.product=version"))
    assert "60 crashes" in page.text
    assert "MyApp" in page.text
    assert "bin/supersearch.py --product=MyApp --_aggs.product=version" in page.text
    assert "/api/search?product=MyApp&_aggs.product=version" in page.links
    (more,) = [link for link in page.links if "_results_offset" in link]
    last = Page(viewer.get(more))
    assert "Back" in last.text
    assert len([link for link in last.links if link.startswith("/report/")]) == 10
    # A value leads to the crashes that have it.
    by_version = Page(viewer.get("/search?product=MyApp&_facets=version"))
    (narrowed,) = [link for link in by_version.links if "version=%3D1.1" in link]
    assert "30 crashes" in Page(viewer.get(narrowed)).text


def test_what_is_wrong_is_said_on_the_page(empty_viewer: RunningViewer) -> None:
    answer = empty_viewer.client.simulate_get("/search?url=x&uptime=%3Ey", host="127.0.0.1")
    page = Page(answer.text)
    assert answer.status_code == 400
    assert "unknown field url" in page.text
    assert "uptime: 'y' is no number" in page.text


def test_nothing_on_the_page_is_more_than_text(viewer: RunningViewer) -> None:
    text = HOSTILE.replace("\ud800", "").replace("\0", "")
    queries = [
        "_facets=product&_columns=moz_crash_reason&_columns=product&_columns=version",
        urlencode({"signature": f"!~{text}", "_sort": "-date"}),
        urlencode({text: text, "_facets": text, "_columns": text}),
        urlencode({"date": f">={text}", "_aggs." + text: text}),
    ]
    for query in queries:
        answer = viewer.client.simulate_get(f"/search?{query}", host="127.0.0.1")
        page = Page(answer.text)
        assert page.elements <= ELEMENTS
        assert page.attributes <= ATTRIBUTES
        assert all(link.startswith(("/", "data:,")) for link in page.links), page.links


@pytest.mark.parametrize("query", ["_results_number=0", "_results_offset=9999", "_results_number=5&_results_offset=3"])
def test_pages_at_the_edges(viewer: RunningViewer, query: str) -> None:
    assert "61 crashes" in Page(viewer.get(f"/search?{query}")).text
