# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The first rule that decides wins. Conditions see text, and a faulty rule does no harm to a crash."""

# ruff: noqa: ARG001, ARG005 - conditions are all called with the same parameters

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import gevent
import pytest
import sentry_sdk
from markus.testing import MetricsMock
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from antenna.config import build_config
from antenna.ops.sentry import SentryHandler
from antenna.throttler import ACCEPT, ACCEPT_ALL, CONTINUE, DEFER, FAKEACCEPT, REJECT, Result, Rule, Throttler
from antenna.throttler.crash_view import CrashView
from tests.throttler.conftest import BuildThrottler

SECRET = "what the user was doing"


def always(throttler: Throttler, value: Any) -> bool:
    return True


def never(throttler: Throttler, value: Any) -> bool:
    return False


def quotes_value(throttler: Throttler, value: str) -> bool:
    raise ValueError(value)


def hides_cause(throttler: Throttler, value: str) -> bool:
    try:
        return quotes_value(throttler, value)
    except ValueError as exc:
        raise LookupError from exc


ACCEPT_OTHERS = Rule("others", "*", always, ACCEPT)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], (REJECT, "NO_MATCH", 0), id="no rules"),
        pytest.param([Rule("a", "*", never, ACCEPT)], (REJECT, "NO_MATCH", 0), id="none matches"),
        pytest.param([Rule("a", "*", always, CONTINUE)], (REJECT, "NO_MATCH", 0), id="none decides"),
        pytest.param([Rule("a", "absent", always, ACCEPT)], (REJECT, "NO_MATCH", 0), id="annotation absent"),
        pytest.param([Rule("a", "*", never, ACCEPT), Rule("b", "*", always, DEFER)], (DEFER, "b", 100), id="second"),
        pytest.param([Rule("a", "*", always, FAKEACCEPT), ACCEPT_OTHERS], (FAKEACCEPT, "a", 100), id="first wins"),
        pytest.param([Rule("a", "*", always, CONTINUE), ACCEPT_OTHERS], (ACCEPT, "others", 100), id="continue"),
        pytest.param([Rule("a", "*", always, (0, ACCEPT, DEFER))], (DEFER, "a", 0), id="never chosen"),
        pytest.param([Rule("a", "*", always, (100, DEFER, REJECT))], (DEFER, "a", 100), id="always chosen"),
        pytest.param(
            [Rule("a", "*", always, (100, CONTINUE, REJECT)), ACCEPT_OTHERS], (ACCEPT, "others", 100), id="go on"
        ),
    ],
)
def test_first_rule_that_decides_wins(
    build_throttler: BuildThrottler, rules: list[Rule], expected: tuple[Result, str, float]
) -> None:
    assert build_throttler(rules=rules).throttle({"ProductName": "Firefox"}) == expected


def test_accept_all(build_throttler: BuildThrottler) -> None:
    assert build_throttler(rules=ACCEPT_ALL).throttle({}) == (ACCEPT, "accept_everything", 100)


def test_sample_keeps_its_percentage_of_crashes(build_throttler: BuildThrottler) -> None:
    throttler = build_throttler(rules=[Rule("a", "*", always, (10, DEFER, REJECT))], rng=random.Random(7))

    outcomes = Counter(throttler.throttle({}) for _ in range(10_000))

    assert set(outcomes) == {(DEFER, "a", 10), (REJECT, "a", 10)}
    # Standard deviation: 30.
    assert 900 < outcomes[DEFER, "a", 10] < 1_100


def test_throttlers_draw_independently() -> None:
    config = build_config({})
    draws = {tuple(Throttler(config).rng.random() for _ in range(4)) for _ in range(10)}

    assert len(draws) == 10


def test_the_clock_is_the_time_in_utc() -> None:
    before, now, after = datetime.now(UTC), Throttler(build_config({})).now(), datetime.now(UTC)

    assert before <= now <= after
    assert now.tzinfo is UTC


def test_rules_reach_the_configured_products(build_throttler: BuildThrottler) -> None:
    seen: list[object] = []

    def look(throttler: Throttler, crash: Mapping[str, str]) -> bool:
        seen.extend([throttler.products, throttler.product_packagenames])
        return True

    build_throttler(
        rules=[Rule("look", "*", look, ACCEPT)], products=["Game"], product_packagenames={"Game": ["org.example.game"]}
    ).throttle({})

    assert seen == [("Game",), {"Game": ("org.example.game",)}]


VALUES_AND_TEXTS: list[tuple[Any, str]] = [
    ("text", "text"),
    ("", ""),
    ('"quoted"', '"quoted"'),
    ("a\0\ud800\N{FOX FACE}", "a\0\ud800\N{FOX FACE}"),
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (17, "17"),
    (-1.5, "-1.5"),
    ([], "[]"),
    ({}, "{}"),
    (["a", 1, None], '["a",1,null]'),
    ({"b": {"a": "\N{FOX FACE}"}, "a": 1}, '{"b":{"a":"\N{FOX FACE}"},"a":1}'),
    ("\ud800", "\ud800"),
    (["\ud800"], '["\ud800"]'),
]


@pytest.mark.parametrize(("value", "text"), VALUES_AND_TEXTS)
@pytest.mark.parametrize("key", ["Annotation", "*"])
def test_conditions_see_text(build_throttler: BuildThrottler, key: str, value: Any, text: str) -> None:
    seen: list[object] = []
    rule = Rule("look", key, lambda throttler, given: seen.append(given), ACCEPT)

    build_throttler(rules=[rule]).throttle({"Annotation": value, "Other": "x"})

    assert seen == [text if key == "Annotation" else {"Annotation": text, "Other": "x"}]


def nested_list(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: nested_list(100_000), id="nesting"),
        pytest.param(lambda: 10**10_000, id="int"),
        pytest.param(lambda: {"key": 10**10_000}, id="ints"),
        pytest.param(lambda: b"bytes", id="bytes"),
    ],
)
def test_value_without_json_text_is_present_and_empty(build_throttler: BuildThrottler, make: Callable[[], Any]) -> None:
    rule = Rule("empty", "Annotation", lambda throttler, text: text == "", ACCEPT)

    assert build_throttler(rules=[rule]).throttle({"Annotation": make()}) == (ACCEPT, "empty", 100)


def test_values_that_have_much_text_together_have_none_in_the_end() -> None:
    crash = CrashView({"first": ["x" * 300_000], "second": ["x" * 300_000], "third": ["x"], "text": "x" * 1_000_000})

    assert {name: len(value) for name, value in crash.items()} == {
        "first": 300_004,
        "second": 300_004,
        "third": 0,
        "text": 1_000_000,
    }


def test_the_crash_stays_as_it_came(build_throttler: BuildThrottler) -> None:
    def meddle(throttler: Throttler, crash: dict[str, str]) -> bool:
        crash["Annotation"] = "changed"
        return True

    for crash in ({"Annotation": "text"}, {"Annotation": 5, "Other": None}):
        before = dict(crash)

        result = build_throttler(rules=[Rule("meddle", "*", meddle, REJECT), ACCEPT_OTHERS]).throttle(crash)

        assert crash == before
        assert result == (ACCEPT, "others", 100)


class KeptEvents(Transport):
    """Keeps the events that would be sent to Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def sentry() -> Iterator[KeptEvents]:
    transport = KeptEvents()
    client = sentry_sdk.Client(dsn="http://public@127.0.0.1:9/1", transport=transport, include_local_variables=False)
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        handler = SentryHandler(logging.INFO)
        logging.getLogger().addHandler(handler)
        yield transport
        logging.getLogger().removeHandler(handler)
    client.close()


@pytest.mark.parametrize("key", ["Comments", "*"])
@pytest.mark.parametrize(
    "exception", [ValueError(SECRET), KeyError(SECRET), RecursionError(SECRET), AssertionError(), MemoryError()]
)
def test_rule_that_raises_is_skipped(build_throttler: BuildThrottler, key: str, exception: Exception) -> None:
    def fail(throttler: Throttler, value: object) -> bool:
        raise exception

    throttler = build_throttler(rules=[Rule("faulty", key, fail, REJECT), ACCEPT_OTHERS])

    assert throttler.throttle({"Comments": SECRET}) == (ACCEPT, "others", 100)


def test_rule_that_recurses_too_deep_is_skipped(build_throttler: BuildThrottler) -> None:
    rule = Rule("deep", "TelemetryEnvironment", lambda throttler, text: json.loads(text), REJECT)

    result = build_throttler(rules=[rule, ACCEPT_OTHERS]).throttle({"TelemetryEnvironment": "[" * 200_000})

    assert result == (ACCEPT, "others", 100)


def test_rule_that_raises_is_counted_each_time(build_throttler: BuildThrottler) -> None:
    throttler = build_throttler(rules=[Rule("faulty", "*", quotes_value, REJECT), ACCEPT_OTHERS])

    with MetricsMock() as metrics:
        for _ in range(3):
            throttler.throttle({"Comments": SECRET})

    counted = metrics.filter_records("incr", "throttle.rule_error", tags=["rule:faulty"])
    assert [record.value for record in counted] == [1, 1, 1]


@pytest.mark.parametrize("condition", [quotes_value, hides_cause])
def test_rule_that_raises_is_logged_without_annotation_values(
    build_throttler: BuildThrottler, caplog: pytest.LogCaptureFixture, condition: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    throttler = build_throttler(rules=[Rule("faulty", "Comments", condition, REJECT), ACCEPT_OTHERS])
    caplog.clear()

    throttler.throttle({"Comments": SECRET})

    (record,) = [record for record in caplog.records if record.name.startswith("antenna.")]
    assert "faulty" in record.getMessage()
    assert ("ValueError" if condition is quotes_value else "LookupError") in record.getMessage()
    assert record.exc_info is None
    assert SECRET not in caplog.text


@pytest.mark.parametrize("condition", [quotes_value, hides_cause])
def test_rule_that_raises_is_reported_once_without_annotation_values(
    build_throttler: BuildThrottler, sentry: KeptEvents, condition: Any
) -> None:
    throttler = build_throttler(
        rules=[
            Rule("faulty", "Comments", condition, REJECT),
            Rule("faulty_too", "Comments", condition, REJECT),
            ACCEPT_OTHERS,
        ]
    )

    for _ in range(3):
        throttler.throttle({"Comments": SECRET})

    exceptions = [event["exception"]["values"][-1] for event in sentry.events]
    raised = "ValueError" if condition is quotes_value else "LookupError"
    assert [exception["value"] for exception in exceptions] == [
        f"throttle rule faulty raised {raised}; skipped",
        f"throttle rule faulty_too raised {raised}; skipped",
    ]
    assert SECRET not in json.dumps(sentry.events, default=str)
    # The traceback is there, down to the condition that failed.
    assert condition.__name__ in [frame["function"] for frame in exceptions[0]["stacktrace"]["frames"]]


@pytest.mark.parametrize("exception", [gevent.Timeout(1), gevent.GreenletExit(), KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_the_request_passes_through(build_throttler: BuildThrottler, exception: BaseException) -> None:
    def interrupted(throttler: Throttler, value: object) -> bool:
        raise exception

    throttler = build_throttler(rules=[Rule("interrupted", "*", interrupted, REJECT), ACCEPT_OTHERS])

    with pytest.raises(type(exception)):
        throttler.throttle({})


def test_rules_see_the_metadata_of_the_request(build_throttler: BuildThrottler) -> None:
    seen: list[object] = []
    rule = Rule("look", "*", lambda throttler, crash: seen.append(crash["metadata"]["user_agent"]), ACCEPT)

    build_throttler(rules=[rule]).throttle({"Annotation": 5, "metadata": {"user_agent": "Reporter/1.0"}})

    assert seen == ["Reporter/1.0"]


def test_rule_set_can_be_replaced(build_throttler: BuildThrottler) -> None:
    throttler = build_throttler(rules=[])

    throttler.rule_set = [ACCEPT_OTHERS]

    assert throttler.throttle({}) == (ACCEPT, "others", 100)


def test_draws_come_from_the_module_unless_others_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    throttler = Throttler(build_config({}))
    throttler.rule_set = [Rule("a", "*", always, (50, ACCEPT, DEFER))]

    monkeypatch.setattr(random, "random", lambda: 0.45)
    assert throttler.throttle({}) == (ACCEPT, "a", 50)
    monkeypatch.setattr(random, "random", lambda: 0.55)
    assert throttler.throttle({}) == (DEFER, "a", 50)
