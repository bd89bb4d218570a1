# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The parameters of a search, and the errors that they get."""

import pytest

from antenna.viewer.rows import HARMLESS
from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.fields import FIELDS, FieldList, snake_case
from antenna.viewer.supersearch.query import parse_query

NOW = 1_795_000_000.0
ALLOWED = FieldList(HARMLESS | {"Team", "_hidden", "Reason", "date"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Email", "x", "unknown field Email"),
        ("signatur", "x", "unknown field signatur; there is signature"),
        ("_facets", "signatur", "unknown field signatur; there is signature"),
        ("_columns", "url", "unknown field url"),
        ("_sort", "-url", "unknown field url"),
        ("_aggs.product", "url", "unknown field url"),
        ("_aggs.url", "product", "unknown field url"),
        ("_facets", "_cardinality.url", "unknown field url"),
        ("_histogram.url", "product", "unknown field url"),
        ("_histogram.product", "version", "_histogram.product: product is neither a date nor a number"),
        ("_aggs.a.b.c.d.e", "product", "unknown field a"),
        ("_aggs.product.version.platform.signature", "reason", "it has more than 4 levels"),
        ("_histogram_interval.date", "1x", "_histogram_interval.date: '1x' is no interval"),
        ("_histogram_interval.date", "0d", "is no interval"),
        ("_histogram_interval.uptime", "1.5", "is no whole number above 0"),
        ("_unknown", "1", "unknown parameter _unknown"),
        ("_return_query", "1", "unknown parameter _return_query"),
        ("_results_number", "1001", "_results_number: '1001' is no number from 0 to 1000"),
        ("_results_number", "-1", "is no number from 0 to 1000"),
        ("_results_number", "all", "is no number from 0 to 1000"),
        ("_results_number", "\u0663", "is no number from 0 to 1000"),
        ("_results_offset", "9" * 30, "is no number from 0 to 10000000"),
        ("_facets_size", "100000", "is no number from 0 to 1000"),
        ("product", ">Firefox", "product: it does not take the operator > but"),
        ("signature", "<=x", "signature: it does not take the operator <= but"),
        ("signature", "~", "signature: there is no value behind ~"),
        ("signature", "!", "signature: there is no value behind !"),
        ("signature", "::", "signature: '::' has no word in it: write ~::"),
        ("signature", "@(", "signature: '(' is no regular expression: a ( is not closed"),
        ("signature", "~" + "x" * 2001, "signature: the value has more than 2000 characters"),
        ("version", ">=latest", "version: 'latest' is no version"),
        ("uptime", "x", "uptime: 'x' is no number"),
        ("uptime", ">1_000", "uptime: '1_000' is no number"),
        ("uptime", "~1", "uptime: '~1' is no number"),
        ("uptime", ">nan", "uptime: 'nan' is no number"),
        ("build_id", ">x", "build_id: 'x' is no number"),
        ("safe_mode", "maybe", "safe_mode: 'maybe' is neither true nor false"),
        ("date", "2026-11-27", "date: '2026-11-27' needs an operator in front, one of >= <= > < __null__"),
        ("date", ">yesterday", "date: 'yesterday' is no date"),
        ("date", ">2026-13-01", "date: '2026-13-01' is no date"),
        ("date", ">20261127", "is no date"),
        ("date", "=2026-11-27", "needs an operator in front"),
    ],
)
def test_what_is_wrong_is_said(name: str, value: str, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse_query({name: [value]}, ALLOWED, NOW)
    assert message in str(raised.value)


def test_all_errors_are_said_at_once() -> None:
    with pytest.raises(QueryError) as raised:
        parse_query({"url": ["x"], "uptime": ["y"], "_facets": ["z", "z"]}, ALLOWED, NOW)
    assert str(raised.value).splitlines() == ["unknown field url", "uptime: 'y' is no number", "unknown field z"]


@pytest.mark.parametrize(("name", "count"), [("_facets", 21), ("signature", 101), ("_sort", 11)])
def test_there_is_a_most_of_everything(name: str, count: int) -> None:
    known = [field.name for field in FIELDS]
    values = ["product"] * count if name == "_facets" else known[:count] if name == "_sort" else ["x"] * count
    with pytest.raises(QueryError, match="there are more than"):
        parse_query({name: values}, ALLOWED, NOW)


def test_empty_values_say_nothing() -> None:
    query = parse_query({"product": [""], "date": ["", ""], "_facets": [""], "_sort": [""]}, ALLOWED, NOW)
    assert [condition.field.name for condition in query.conditions] == ["date"]
    assert [level.name for (level,) in query.aggregations] == ["signature"]


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        ("MyTeam", "my_team"),
        ("DOMFissionEnabled", "dom_fission_enabled"),
        ("UptimeTS", "uptime_ts"),
        ("lsb-release", "lsb_release"),
        ("ipc_channel_error", "ipc_channel_error"),
        ("_x", "x"),
        ("Größe", "gr_e"),
        ("\u03b1", "\u03b1"),
    ],
)
def test_annotations_have_names_as_fields_have(annotation: str, name: str) -> None:
    assert snake_case(annotation) == name


def test_every_annotation_that_is_shown_is_a_field() -> None:
    for annotation in HARMLESS:
        field = ALLOWED.find(annotation)
        assert field is not None
        # Some are called like a field that they are not.
        assert annotation in field.annotations or annotation == "platform"
    named = [field.name for field in FIELDS]
    assert len(named) == len(set(named))


def test_annotations_that_are_called_like_fields_are_found_by_their_own_name() -> None:
    reason, date = ALLOWED.find("Reason"), ALLOWED.find("date")
    assert reason is not None
    assert reason.annotations == ("Reason",)
    assert ALLOWED.find("reason") in FIELDS
    assert date in FIELDS
    assert ALLOWED.find("_hidden") == ALLOWED.find("hidden")
