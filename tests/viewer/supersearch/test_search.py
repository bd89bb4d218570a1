# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Answers to searches, compared with a plain look at each crash."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from antenna.crash.crash_id import mint
from antenna.viewer.index import CrashRow, Index, StackModule
from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.fields import FieldList
from antenna.viewer.supersearch.query import parse_query
from antenna.viewer.supersearch.search import Search, SearchTimeoutError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
DAY = 86400
CRASHES = 300
FIELDS = FieldList({"Team", "lsb-release"})
#: In their order.
VERSIONS = ("153.0a1", "153.0b2", "153.0b10", "153.0", "153.0.1", "154.0")
SIGNATURES = (
    "mozilla::Foo::Bar", "mozilla::foo::Baz", "OOM | small", "OOM | large | mozilla::Foo", "shutdownhang | Wait",
    "@0x0", "<name omitted> | Foo", "Größe::Übung", "a\"b'c%d_e*f", "MyApp+0x1234",
)  # fmt: skip
MODULES = ("libxul.so", "libc.so.6", "MyApp", "ntdll.dll")


@dataclass(frozen=True)
class Crash:
    """A crash, and its values by the names of fields; None and [] stand for no value."""

    row: CrashRow
    values: dict[str, Any]


def make_crash(generator: random.Random) -> Crash:
    """Return a crash whose values are drawn; many of them are alike."""

    def one_of(values: Sequence[Any]) -> Any:
        return generator.choice((*values, None))

    came = NOW - generator.randrange(10 * DAY)
    signature = generator.choice(SIGNATURES)
    modules = generator.sample(MODULES, generator.randrange(4))
    values: dict[str, Any] = {
        "uuid": mint(0, datetime.fromtimestamp(came, UTC)),
        "date": came,
        "signature": signature,
        "product": one_of(("Firefox", "firefox", "MyApp", "Fenix Nightly")),
        "version": one_of(VERSIONS),
        "build_id": one_of(("20261101", "20261102000000", "1.2-rc", "0007")),
        "reason": one_of(("SIGSEGV / SEGV_MAPERR", "SIGABRT", "EXCEPTION_BREAKPOINT")),
        "modules_in_stack": [f"{name}/ABC{number}" for number, name in enumerate(modules)],
        "uptime_ts": one_of((0, 1, 59.5, 60, 61, 3600)),
        "safe_mode": one_of((True, False)),
        "moz_crash_reason": one_of(("MOZ_RELEASE_ASSERT(a > b)", "assert failed", "ASSERT")),
        "team": one_of(("blue", "Blue", "red team", "5")),
    }
    annotations = {
        "UptimeTS": values["uptime_ts"], "SafeMode": {True: "1", False: "0"}.get(values["safe_mode"]),
        "MozCrashReason": values["moz_crash_reason"], "Team": values["team"],
    }  # fmt: skip
    row = CrashRow(
        values["uuid"],
        came,
        signature,
        product=values["product"] or "",
        version=values["version"] or "",
        build=values["build_id"] or "",
        reason=values["reason"] or "",
        annotations={name: str(value) for name, value in annotations.items() if value is not None},
        stack_modules=tuple(StackModule("x", f"ABC{number}", name) for number, name in enumerate(modules)),
    )
    return Crash(row, values)


@pytest.fixture(scope="module")
def crashes() -> list[Crash]:
    generator = random.Random(21)
    return [make_crash(generator) for _ in range(CRASHES)]


@pytest.fixture(scope="module")
def search(crashes: list[Crash], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    path = tmp_path_factory.mktemp("index") / "index.sqlite"
    index = Index(path)
    index.add(crash.row for crash in crashes)
    index.close()
    found = Search(path)
    yield found
    found.close()


def ask(search: Search, *params: tuple[str, str], everything: bool = True) -> dict[str, Any]:
    """Return the answer to parameters, of all days unless they say which."""
    found: dict[str, list[str]] = {"date": [">=2026-01-01"], "_results_number": ["1000"]} if everything else {}
    for name, value in params:
        found.setdefault(name, []).append(value)
    return search.answer(parse_query(found, FIELDS, NOW))


def ids(answer: dict[str, Any]) -> set[str]:
    return {hit["uuid"] for hit in answer["hits"]}


# A plain look at each crash, written apart from the code.

Test = Callable[[Any], bool]
BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def plain_words(text: str) -> list[str]:
    return [word for word in re.split(r"\W+", text.lower()) if word]


def has_words(text: str, wanted: str) -> bool:
    words, those = plain_words(text), plain_words(wanted)
    return any(words[start : start + len(those)] == those for start in range(len(words)))


def draw_text_test(generator: random.Random, name: str, crashes: list[Crash]) -> tuple[str, Test]:
    """Return the value of a parameter for a field with texts, and whether a text fulfils it."""
    drawn = generator.choice(crashes).values[name]
    text = str(generator.choice(drawn) if isinstance(drawn, list) and drawn else drawn or "nothing")
    start = generator.randrange(len(text))
    piece = text[start : start + generator.randrange(1, 6)]
    is_words = name in {"signature", "reason", "modules_in_stack", "moz_crash_reason"}
    word = generator.choice(plain_words(text))
    options: list[tuple[str, Test]] = [
        (f"={text}", lambda value: value == text),
        (f"~{piece}", lambda value: piece in value),
        (f"^{text[:start]}x"[: start + 1], lambda value: value.startswith(f"{text[:start]}x"[:start])),
        (f"${piece}", lambda value: value.endswith(piece)),
        ("@.*[oO].*", lambda value: "o" in value or "O" in value),
        ('@"OOM | ".*', lambda value: value.startswith("OOM | ")),
        (word.upper(), lambda value: has_words(value, word) if is_words else value.lower() == word),
    ]
    return generator.choice([option for option in options if len(option[0]) > 1 or option[0] not in "=~^$@"])


def draw_test(generator: random.Random, name: str, crashes: list[Crash]) -> tuple[str, Test, bool]:
    """Return the value of a parameter, whether a value fulfils it, and whether it is one end of a range."""
    operator = generator.choice(tuple(BOUNDS))
    bound = BOUNDS[operator]
    if name == "uptime_ts":
        number = generator.choice((0, 1, 59.5, 60, 100))
        if generator.random() < 0.3:
            return str(number), lambda value: value == number, False
        return f"{operator}{number}", lambda value: bound(value, number), True
    if name == "safe_mode":
        text, truth = generator.choice((("__true__", True), ("true", True), ("false", False), ("0", False)))
        return text, lambda value: value is truth, False
    if name == "version" and generator.random() < 0.5:
        version = generator.choice(VERSIONS)
        return (
            f"{operator}{version}", lambda value: bound(VERSIONS.index(value), VERSIONS.index(version)), True
        )  # fmt: skip
    if name == "build_id" and generator.random() < 0.5:
        number = generator.choice((7, 20261101, 20261101.5))
        return f"{operator}{number}", lambda value: value.isdecimal() and bound(int(value), number), True
    text, test = draw_text_test(generator, name, crashes)
    return text, test, False


def has_value(name: str, test: Test | None, crash: Crash) -> bool:
    """Whether a value of a field fulfils a test; or whether it has none, if there is no test."""
    value = crash.values[name]
    values = value if isinstance(value, list) else [] if value is None else [value]
    return not values if test is None else any(map(test, values))


def draw_query(generator: random.Random, crashes: list[Crash]) -> tuple[list[tuple[str, str]], Test]:
    """Return parameters, and whether a crash fulfils them."""
    names = [name for name in crashes[0].values if name not in {"uuid", "date"}]
    params: list[tuple[str, str]] = []
    every: list[Test] = []
    for name in generator.sample(names, generator.randrange(1, 4)):
        some: list[Test] = []
        for _ in range(generator.randrange(1, 4)):
            if generator.random() < 0.15:
                text, test, is_range = "__null__", None, False
            else:
                text, test, is_range = draw_test(generator, name, crashes)
            fulfils = partial(has_value, name, test)
            if generator.random() < 0.25:
                params.append((name, f"!{text}"))
                every.append(lambda crash, fulfils=fulfils: not fulfils(crash))  # type: ignore[misc]
            else:
                params.append((name, text))
                (every if is_range else some).append(fulfils)
        if some:
            every.append(lambda crash, some=some: any(test(crash) for test in some))  # type: ignore[misc]
    return params, lambda crash: all(test(crash) for test in every)


@pytest.mark.parametrize("seed", range(2))
def test_a_search_finds_what_a_plain_look_finds(search: Search, crashes: list[Crash], seed: int) -> None:
    generator = random.Random(seed)
    found_some = 0
    for _ in range(60):
        params, fulfils = draw_query(generator, crashes)
        expected = [crash for crash in crashes if fulfils(crash)]
        answer = ask(search, *params)
        assert ids(answer) == {crash.values["uuid"] for crash in expected}, params
        assert answer["total"] == len(expected)
        counts = Counter(crash.values["signature"] for crash in expected)
        facets = [(bucket["term"], bucket["count"]) for bucket in answer["facets"]["signature"]]
        assert facets == sorted(counts.items(), key=lambda item: (-item[1], item[0])), params
        found_some += 0 < len(expected) < len(crashes)
    assert found_some > 20


def plain_facets(crashes: list[Crash], names: Sequence[str]) -> list[dict[str, Any]]:
    """Count by each field after the other; several values count once each."""
    if not names:
        return []
    groups: dict[Any, list[Crash]] = {}
    for crash in crashes:
        value = crash.values[names[0]]
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            groups.setdefault(one, []).append(crash)
    found = []
    for term, those in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        bucket: dict[str, Any] = {"term": term, "count": len(those)}
        if below := plain_facets(those, names[1:]):
            bucket["facets"] = {names[1]: below}
        found.append(bucket)
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("product",), ("modules_in_stack",), ("team",), ("uptime_ts",), ("product", "version"),
        ("modules_in_stack", "signature"), ("signature", "modules_in_stack"), ("product", "version", "team"),
        ("team", "modules_in_stack", "product", "signature"),
    ],
)  # fmt: skip
def test_facets_count_what_a_plain_look_counts(search: Search, crashes: list[Crash], names: tuple[str, ...]) -> None:
    name, value = ".".join(["_aggs", *names[:-1]]), names[-1]
    name = name if len(names) > 1 else "_facets"
    chosen = [crash for crash in crashes if "Foo" in crash.values["signature"]]
    answer = ask(search, (name, value), ("signature", "~Foo"), ("_facets_size", "1000"))
    # An annotation that is a number is one in the answer.
    assert str(answer["facets"][names[0]]) == str(plain_facets(chosen, names)).replace("'5'", "5")


def test_facets_are_cut_and_the_most_frequent_values_stay(search: Search, crashes: list[Crash]) -> None:
    answer = ask(search, ("_facets_size", "2"), ("_aggs.signature", "version"))
    expected = plain_facets(crashes, ("signature", "version"))[:2]
    for bucket in expected:
        bucket["facets"]["version"] = bucket["facets"]["version"][:2]
    assert answer["facets"]["signature"] == expected


@pytest.mark.parametrize(
    ("params", "facets"),
    [
        ((("_facets", "_cardinality.version"),), {"cardinality_version": {"value": len(VERSIONS)}}),
        ((("_facets", "product"), ("product", "=Nothing")), {"product": []}),
        ((("_facets", "_cardinality.version"), ("product", "=Nothing")), {"cardinality_version": {"value": 0}}),
        (
            (("_facets", "_histogram.uptime_ts"), ("_histogram_interval.uptime_ts", "60"), ("uptime_ts", "<=60")),
            {"histogram_uptime_ts": [{"term": 0}, {"term": 60}]},
        ),
    ],
)
def test_other_facets(search: Search, params: tuple[tuple[str, str], ...], facets: dict[str, Any]) -> None:
    found = ask(search, *params)["facets"]
    for buckets in found.values():
        for bucket in buckets if isinstance(buckets, list) else ():
            del bucket["count"]
    assert found == facets


@pytest.mark.parametrize(
    ("interval", "size"), [("1d", DAY), ("day", DAY), ("12h", DAY / 2), ("1w", 7 * DAY), ("week", 7 * DAY)]
)
def test_histograms_of_dates(search: Search, crashes: list[Crash], interval: str, size: float) -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    counts: dict[float, Counter[str]] = {}
    for crash in crashes:
        start = (crash.values["date"] - monday) // size * size + monday
        counts.setdefault(start, Counter()).update([crash.values["product"]])
    answer = ask(search, ("_histogram.date", "product"), ("_histogram_interval.date", interval))
    found = {
        datetime.fromisoformat(bucket["term"]).timestamp(): (
            bucket["count"],
            {below["term"]: below["count"] for below in bucket["facets"]["product"]},
        )
        for bucket in answer["facets"]["histogram_date"]
    }
    assert list(found) == sorted(counts)
    expected = {start: (sum(of.values()), {name: n for name, n in of.items() if name}) for start, of in counts.items()}
    assert found == expected


@pytest.mark.parametrize("interval", ["month", "1M", "year"])
def test_histograms_of_months_and_years(search: Search, crashes: list[Crash], interval: str) -> None:
    (bucket,) = ask(search, ("_histogram.date", "product"), ("_histogram_interval.date", interval))["facets"][
        "histogram_date"
    ]
    assert bucket["term"] == ("2026-01-01" if interval == "year" else "2026-11-01") + "T00:00:00+00:00"
    assert bucket["count"] == len(crashes)


@pytest.mark.parametrize("sort", ["version", "-version", "product", "-date", "uptime_ts", "-signature", "-build_id"])
def test_hits_are_sorted_and_come_page_by_page(search: Search, crashes: list[Crash], sort: str) -> None:
    """Crashes without a value come first; versions are in the order of versions."""
    name = sort.removeprefix("-")

    def key(value: Any) -> tuple[bool, Any]:
        value = VERSIONS.index(value) if name == "version" and value is not None else value
        return value is not None, value or 0

    expected = sorted((crash.values[name] for crash in crashes), key=key, reverse=sort.startswith("-"))
    found: list[dict[str, Any]] = []
    for offset in range(0, CRASHES, 120):
        page = {"_results_number": ["120"], "_results_offset": [str(offset)], "_columns": ["uuid", name]}
        params = {"date": [">=2026-01-01"], "_sort": [sort], **page}
        found += search.answer(parse_query(params, FIELDS, NOW))["hits"]
    assert len({hit["uuid"] for hit in found}) == CRASHES
    if name != "date":
        # Build ids that are numbers are numbers in the answer.
        assert [str(hit[name]) for hit in found] == list(map(str, expected))
    else:
        assert [hit["date"] for hit in found] == sorted((hit["date"] for hit in found), reverse=True)


def test_hits_have_the_columns_that_were_asked_for(search: Search, crashes: list[Crash]) -> None:
    crash = next(
        crash for crash in crashes if crash.values["team"] == "5" and len(crash.values["modules_in_stack"]) == 1
    )
    names = ("uuid", "date", "build_id", "modules_in_stack", "team", "Team", "safe_mode", "lsb_release", "ProductName")
    answer = ask(search, ("uuid", crash.values["uuid"]), *[("_columns", name) for name in names])
    (hit,) = answer["hits"]
    assert list(hit) == list(names)
    assert datetime.fromisoformat(hit["date"]).timestamp() == pytest.approx(crash.values["date"], abs=1e-5)
    assert (hit["team"], hit["Team"], hit["lsb_release"]) == (5, 5, None)
    assert hit["modules_in_stack"] == crash.values["modules_in_stack"]
    assert (hit["safe_mode"], hit["ProductName"]) == (crash.values["safe_mode"], crash.values["product"])


def test_without_a_date_it_is_the_last_week(search: Search, crashes: list[Crash]) -> None:
    def since(first: float, last: float = NOW) -> int:
        return sum(first <= crash.values["date"] < last for crash in crashes)

    assert ask(search, everything=False)["total"] == since(NOW - 7 * DAY)
    assert ask(search, ("date", "<2026-11-25"), everything=False)["total"] == since(NOW - 9.5 * DAY, NOW - 2.5 * DAY)
    days = (("date", ">=2026-11-20"), ("date", "<2026-11-21"))
    assert ask(search, *days, everything=False)["total"] == since(NOW - 7.5 * DAY, NOW - 6.5 * DAY)


def test_ids_and_names_as_people_write_them(search: Search, crashes: list[Crash]) -> None:
    crash_id = crashes[0].values["uuid"]
    for value in (crash_id, f"bp-{crash_id}", f"={crash_id}", f"^{crash_id[:20]}"):
        assert crash_id in ids(ask(search, ("uuid", value)))
    assert ask(search, ("uuid", f"!{crash_id}"))["total"] == CRASHES - 1
    assert ask(search, ("uuid", "__null__"))["total"] == 0
    betas = sum((crash.values["version"] or "").startswith("153.0b") for crash in crashes)
    assert ask(search, ("version", "153.0b"))["total"] == betas


def test_a_search_that_takes_too_long_is_ended(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_timeout", -1.0)
    for params in ((("signature", "@.*(a|b)*Foo.*"),), (("_aggs.signature.version", "product"),)):
        with pytest.raises(SearchTimeoutError):
            ask(search, *params)


def test_facets_are_not_endless(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antenna.viewer.supersearch.aggregations.MAX_BUCKETS", 100)
    with pytest.raises(QueryError, match="more than 100 values"):
        ask(search, ("_histogram.date", "product"), ("_histogram_interval.date", "1s"))


@pytest.mark.parametrize("name", [field.name for field in FIELDS])
def test_every_field_can_be_counted_shown_sorted_and_asked_for(search: Search, name: str) -> None:
    params = (("_facets", name), ("_facets", f"_cardinality.{name}"), ("_columns", name), ("_sort", f"-{name}"))
    answer = ask(search, *params)
    assert set(answer["facets"]) == {name, f"cardinality_{name}"}
    assert set(answer["hits"][0]) == {name}
    without, those = ask(search, (name, "__null__"))["total"], ask(search, (name, "!__null__"))["total"]
    assert without + those == CRASHES
    values = answer["facets"][f"cardinality_{name}"]["value"]
    assert (values == 0) == (those == 0)
    assert len(answer["facets"][name]) == min(values, 50)
