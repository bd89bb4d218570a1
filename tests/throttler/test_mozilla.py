# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each of Mozilla's rules matches what it says, for annotations of all types."""

import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from antenna.config import build_config
from antenna.throttler import (
    ACCEPT,
    ALL_PRODUCTS,
    CONTINUE,
    FAKEACCEPT,
    MOZILLA_PRODUCT_PACKAGENAMES,
    MOZILLA_RULES,
    REJECT,
    Rule,
    Throttler,
)
from tests.throttler.conftest import NOW, BuildThrottler

RULES = {rule.rule_name: rule for rule in MOZILLA_RULES}

ODD_VALUES: list[Any] = [None, True, False, 0, 1.5, [], ["x"], {}, {"a": 1}, "", "\0", "\ud800"]


def test_rules_and_results_in_order() -> None:
    assert [(rule.rule_name, rule.key, rule.result) for rule in MOZILLA_RULES] == [
        ("has_old_buildid", "*", REJECT),
        ("has_hangid_and_browser", "*", REJECT),
        ("infobar_is_true", "*", REJECT),
        ("b2g", "*", FAKEACCEPT),
        ("unsupported_product", "*", REJECT),
        ("unsupported_packagename", "*", REJECT),
        ("throttleable_0", "Throttleable", ACCEPT),
        ("has_comments", "Comments", ACCEPT),
        ("has_phc", "PHCKind", ACCEPT),
        ("is_background", "ProcessType", ACCEPT),
        ("is_shutdownkill", "ipc_channel_error", (10, CONTINUE, REJECT)),
        ("is_firefox_esr_unsupported_windows", "*", (25, CONTINUE, REJECT)),
        ("is_alpha_beta_esr", "ReleaseChannel", ACCEPT),
        ("is_nightly", "ReleaseChannel", ACCEPT),
        ("is_firefox_desktop", "*", (10, ACCEPT, REJECT)),
        ("accept_everything", "*", ACCEPT),
    ]


def test_every_condition_says_when_it_matches() -> None:
    assert all(rule.condition.__doc__ for rule in MOZILLA_RULES)


@pytest.fixture(scope="module")
def throttlers() -> dict[str, Throttler]:
    """The throttlers that ``matches`` has made, by their only rule. To make one takes milliseconds."""
    return {}


@pytest.fixture
def matches(build_throttler: BuildThrottler, throttlers: dict[str, Throttler]) -> Any:
    """Whether one rule matches a crash. A crash that it does not match ends in NO_MATCH."""

    def matches(rule_name: str, crash: Mapping[str, Any], **options: Any) -> bool:
        rule = RULES[rule_name]
        throttler = throttlers.get(rule_name)
        if options or throttler is None:
            throttler = build_throttler(rules=[Rule(rule.rule_name, rule.key, rule.condition, REJECT)], **options)
            if not options:
                throttlers[rule_name] = throttler
        return throttler.throttle(crash)[1] == rule_name

    return matches


def build_id(days_ago: int, time: str = "120000") -> str:
    return f"{NOW - timedelta(days=days_ago):%Y%m%d}{time}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (build_id(0), False),
        (build_id(-30), False),
        (build_id(729, "000000"), False),
        (build_id(730, "000000"), True),
        (build_id(730, "235959"), True),
        (build_id(5_000), True),
        ("20000101000000", True),
        ("20200101999999", True),
        (20200101000000, True),
        ("20991231000000", False),
        ("19990101000000", False),
        ("2020010100000", False),
        ("202001010000000", False),
        ("20200101000000\n", False),
        (" 20200101000000", False),
        ("2020010100000\N{ARABIC-INDIC DIGIT ZERO}", False),
        ("20201301000000", False),
        ("20200230000000", False),
        ("20200000000000", False),
        (["20200101000000"], False),
        (20200101000000.5, False),
        *((value, False) for value in ODD_VALUES),
    ],
)
def test_has_old_buildid(matches: Any, value: Any, expected: bool) -> None:
    assert matches("has_old_buildid", {"BuildID": value}) is expected


def test_has_old_buildid_without_one(matches: Any) -> None:
    assert not matches("has_old_buildid", {"ProductName": "Firefox"})


def test_has_old_buildid_goes_by_the_date_of_the_day() -> None:
    throttler = Throttler(build_config({}))
    today = datetime.now(UTC)

    # This is two days from the limit, because the day may end while the test runs.
    assert throttler.throttle({"BuildID": f"{today - timedelta(days=732):%Y%m%d}120000"})[1] == "has_old_buildid"
    assert throttler.throttle({"BuildID": f"{today - timedelta(days=728):%Y%m%d}120000"})[1] != "has_old_buildid"


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        ({"HangID": "1"}, True),
        ({"HangID": ""}, True),
        ({"HangID": None}, True),
        ({"HangID": "1", "ProcessType": "browser"}, True),
        ({"HangID": "1", "ProcessType": "plugin"}, False),
        ({"HangID": "1", "ProcessType": "Browser"}, False),
        ({"HangID": "1", "ProcessType": ""}, False),
        ({"HangID": "1", "ProcessType": None}, False),
        ({"HangID": "1", "ProcessType": ["browser"]}, False),
        ({"ProcessType": "browser"}, False),
        ({}, False),
    ],
)
def test_has_hangid_and_browser(matches: Any, crash: dict[str, Any], expected: bool) -> None:
    assert matches("has_hangid_and_browser", crash) is expected


INFOBAR = {
    "ProductName": "Firefox",
    "SubmittedFromInfobar": "true",
    "Version": "57.0",
    "BuildID": "20171128222554",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        *(({"Version": version}, True) for version in ["52.0", "52.5.2", "53.0", "55.0.3", "58.0b4", "59.", "59.0a1"]),
        *(({"Version": version}, False) for version in ["51.9", "60.0", "5.2", "152.0", "52", "520.0", " 52.0"]),
        ({"Version": 57.5}, True),
        ({"BuildID": "20171225235959"}, True),
        ({"BuildID": "20171226000000"}, False),
        ({"BuildID": "20171226"}, False),
        ({"BuildID": "20180101000000"}, False),
        ({"BuildID": 20171128222554}, True),
        ({"BuildID": ""}, False),
        ({"BuildID": None}, False),
        ({"SubmittedFromInfobar": True}, True),
        ({"SubmittedFromInfobar": "True"}, False),
        ({"SubmittedFromInfobar": "1"}, False),
        ({"SubmittedFromInfobar": False}, False),
        ({"ProductName": "Fenix"}, False),
        ({"ProductName": "firefox"}, False),
        ({"ProductName": None}, False),
        *(({"Version": value}, False) for value in ODD_VALUES),
    ],
)
def test_infobar_is_true(matches: Any, changes: dict[str, Any], expected: bool) -> None:
    assert matches("infobar_is_true", INFOBAR | changes) is expected


@pytest.mark.parametrize("missing", INFOBAR)
def test_infobar_is_true_needs_all_four(matches: Any, missing: str) -> None:
    assert not matches("infobar_is_true", {name: value for name, value in INFOBAR.items() if name != missing})


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        ({"ProductName": "B2G"}, True),
        ({"ProductName": "b2g"}, True),
        ({"ProductName": "b2G"}, True),
        ({"ProductName": "B2G "}, False),
        ({"ProductName": "Firefox"}, False),
        ({"ProductName": ["B2G"]}, False),
        ({}, False),
        *(({"ProductName": value}, False) for value in ODD_VALUES),
    ],
)
def test_b2g(matches: Any, crash: dict[str, Any], expected: bool) -> None:
    assert matches("b2g", crash) is expected


def test_the_case_of_a_long_product_is_not_changed(matches: Any) -> None:
    """Changing it would take a dozen bytes for each character."""
    crash = {"ProductName": "\N{GRINNING FACE}" + "x" * 4_000_000}
    tracemalloc.start()
    try:
        assert not matches("b2g", crash)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def test_b2g_as_a_supported_product(matches: Any) -> None:
    assert not matches("b2g", {"ProductName": "b2g"}, products=["Firefox", "B2G"])


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        *(
            ({"ProductName": product}, False)
            for product in [
                "Fenix",
                "Firefox",
                "Firefox Enterprise",
                "Focus",
                "MozillaVPN",
                "ReferenceBrowser",
                "Thunderbird",
            ]
        ),
        ({"ProductName": "firefox"}, True),
        ({"ProductName": "Firefox\n"}, True),
        ({"ProductName": "testproduct"}, True),
        ({"ProductName": ["Firefox"]}, True),
        ({}, True),
        *(({"ProductName": value}, True) for value in ODD_VALUES),
    ],
)
def test_unsupported_product(matches: Any, crash: dict[str, Any], expected: bool) -> None:
    assert matches("unsupported_product", crash) is expected


@pytest.mark.parametrize("crash", [{"ProductName": "testproduct"}, {"ProductName": None}, {}])
def test_unsupported_product_where_all_are_supported(matches: Any, crash: dict[str, Any]) -> None:
    assert not matches("unsupported_product", crash, products=ALL_PRODUCTS)


@pytest.mark.parametrize(
    ("product", "packagename", "expected"),
    [
        ("Fenix", "org.mozilla.firefox", False),
        ("Fenix", "org.mozilla.firefox_beta", False),
        ("Fenix", "org.mozilla.fenix", False),
        ("Focus", "org.mozilla.focus", False),
        ("Focus", "org.mozilla.focus.beta", False),
        ("Focus", "org.mozilla.focus.nightly", False),
        ("Focus", "org.mozilla.klar", False),
        ("ReferenceBrowser", "org.mozilla.reference.browser", False),
        ("Fenix", "org.mozilla.focus", True),
        ("Fenix", "org.example.fork", True),
        ("Fenix", "ORG.MOZILLA.FENIX", True),
        ("Fenix", "", True),
        ("Firefox", "org.example.fork", False),
        (["Fenix"], "org.example.fork", False),
        (None, "org.example.fork", False),
        *(("Focus", value, True) for value in ODD_VALUES),
    ],
)
def test_unsupported_packagename(matches: Any, product: Any, packagename: Any, expected: bool) -> None:
    crash = {"ProductName": product, "Android_PackageName": packagename}

    assert matches("unsupported_packagename", crash) is expected


@pytest.mark.parametrize("product", MOZILLA_PRODUCT_PACKAGENAMES)
def test_unsupported_packagename_where_it_is_missing(matches: Any, product: str) -> None:
    assert matches("unsupported_packagename", {"ProductName": product})
    assert not matches("unsupported_packagename", {"ProductName": product}, product_packagenames={})
    assert not matches("unsupported_packagename", {"ProductName": product}, product_packagenames={product: []})


def test_unsupported_packagename_without_a_product(matches: Any) -> None:
    assert not matches("unsupported_packagename", {"Android_PackageName": "org.example.fork"})


@pytest.mark.parametrize(
    ("rule_name", "key", "matching", "others"),
    [
        ("throttleable_0", "Throttleable", ["0", 0], ["1", "", "00", "0\n", 1, 0.0, False, None, [0], "false"]),
        ("has_comments", "Comments", ["it broke", *ODD_VALUES], []),
        ("has_phc", "PHCKind", ["FreedPage", *ODD_VALUES], []),
        (
            "is_background",
            "ProcessType",
            ["gpu", "plugin", "rdd", "socket", "utility"],
            ["content", "browser", "GPU", "gpu ", ["gpu"], *ODD_VALUES],
        ),
        ("is_shutdownkill", "ipc_channel_error", ["ShutDownKill"], ["shutdownkill", "ShutDownKill\n", *ODD_VALUES]),
        (
            "is_alpha_beta_esr",
            "ReleaseChannel",
            ["aurora", "beta", "esr"],
            ["Beta", "betatest", "release", "nightly", ["beta"], *ODD_VALUES],
        ),
        (
            "is_nightly",
            "ReleaseChannel",
            ["nightly", "nightly-asan", "nightlyTest"],
            ["Nightly", " nightly", "release", ["nightly"], *ODD_VALUES],
        ),
        ("accept_everything", "Whatever", ["x", *ODD_VALUES], []),
    ],
)
def test_rules_on_one_annotation(
    matches: Any, rule_name: str, key: str, matching: list[Any], others: list[Any]
) -> None:
    assert [value for value in matching if not matches(rule_name, {key: value})] == []
    assert [value for value in others if matches(rule_name, {key: value})] == []


@pytest.mark.parametrize("rule_name", [rule.rule_name for rule in MOZILLA_RULES if rule.key != "*"])
def test_rules_on_one_annotation_do_not_match_where_it_is_absent(matches: Any, rule_name: str) -> None:
    assert not matches(rule_name, {"ProductName": "Firefox"})


WINDOWS_7 = '{"system":{"os":{"name":"Windows_NT","windowsBuildNumber":7601}}}'


def windows(build_number: str) -> str:
    """Return a telemetry environment that has this JSON value as its build number."""
    return WINDOWS_7.replace("7601", build_number)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (WINDOWS_7, True),
        (windows("9600"), True),
        (windows("9600.0"), False),
        (windows("7601.0"), False),
        (windows("-1"), True),
        (windows("0"), False),
        (windows("9600.5"), False),
        (windows("9601"), False),
        (windows("22631"), False),
        (windows('"7601"'), False),
        (windows("true"), True),
        (windows("false"), False),
        (windows("null"), False),
        (windows("[7601]"), False),
        (windows("{}"), False),
        (windows("NaN"), False),
        (windows("1" * 10_000), False),
        (WINDOWS_7.replace("Windows_NT", "Darwin"), False),
        (WINDOWS_7.replace('"Windows_NT"', "null"), False),
        (WINDOWS_7.replace("name", "Name"), False),
        (WINDOWS_7[:-1], False),
        ("", False),
        ("not JSON", False),
        ("null", False),
        ("17", False),
        ('"system"', False),
        ("[]", False),
        ("{}", False),
        ('{"system":{}}', False),
        ('{"system":null}', False),
        ('{"system":["os"]}', False),
        ('{"system":"os"}', False),
        ('{"system":{"os":null}}', False),
        ('{"system":{"os":"Windows_NT"}}', False),
        ('{"system":{"os":[{"name":"Windows_NT","windowsBuildNumber":7601}]}}', False),
        ('{"system":{"os":{"name":"Windows_NT"}}}', False),
        ('{"system":{"os":{"windowsBuildNumber":7601}}}', False),
        ({"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": 7601}}}, True),
        ({"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": 22631}}}, False),
        ([WINDOWS_7], False),
        pytest.param("[" * 200_000, False, id="nested 200,000 deep"),
        pytest.param('{"system":' * 200_000 + "1" + "}" * 200_000, False, id="objects nested 200,000 deep"),
        pytest.param(WINDOWS_7[:-1] + " " * 200_000 + "}", True, id="as large as they come"),
        pytest.param(WINDOWS_7[:-1] + ',"x":[' + "[]," * 200_000 + "0]}", False, id="larger than any"),
        pytest.param(WINDOWS_7[:-1] + ',"x":[' + "[]," * 19_000 + "0]}", True, id="as many values as they have"),
        pytest.param(WINDOWS_7[:-1] + ',"x":[' + "[]," * 25_000 + "0]}", False, id="more values than any"),
        *((value, False) for value in ODD_VALUES),
    ],
)
def test_is_firefox_esr_unsupported_windows(
    matches: Any, caplog: pytest.LogCaptureFixture, environment: Any, expected: bool
) -> None:
    crash = {"ProductName": "Firefox", "ReleaseChannel": "esr", "TelemetryEnvironment": environment}

    assert matches("is_firefox_esr_unsupported_windows", crash) is expected
    # Whatever a client sends, the rule does not fail.
    assert "raised" not in caplog.text


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        ({"ProductName": "Firefox", "ReleaseChannel": "release", "TelemetryEnvironment": WINDOWS_7}, False),
        ({"ProductName": "Thunderbird", "ReleaseChannel": "esr", "TelemetryEnvironment": WINDOWS_7}, False),
        ({"ProductName": "Firefox", "TelemetryEnvironment": WINDOWS_7}, False),
        ({"ReleaseChannel": "esr", "TelemetryEnvironment": WINDOWS_7}, False),
        ({"ProductName": "Firefox", "ReleaseChannel": "esr"}, False),
    ],
)
def test_is_firefox_esr_unsupported_windows_is_for_firefox_esr(
    matches: Any, crash: dict[str, Any], expected: bool
) -> None:
    assert matches("is_firefox_esr_unsupported_windows", crash) is expected


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        ({"ProductName": "Firefox", "ReleaseChannel": "release"}, True),
        ({"ProductName": "Firefox", "ReleaseChannel": "default"}, False),
        ({"ProductName": "Firefox", "ReleaseChannel": "Release"}, False),
        ({"ProductName": "Firefox"}, False),
        ({"ProductName": "Firefox Enterprise", "ReleaseChannel": "release"}, False),
        ({"ProductName": "Fenix", "ReleaseChannel": "release"}, False),
        ({"ReleaseChannel": "release"}, False),
        ({}, False),
        *(({"ProductName": "Firefox", "ReleaseChannel": value}, False) for value in ODD_VALUES),
        *(({"ProductName": value, "ReleaseChannel": "release"}, False) for value in ODD_VALUES),
    ],
)
def test_is_firefox_desktop(matches: Any, crash: dict[str, Any], expected: bool) -> None:
    assert matches("is_firefox_desktop", crash) is expected


@pytest.mark.parametrize(
    ("crash", "expected"),
    [
        ({"ProductName": "B2G"}, (FAKEACCEPT, "b2g", 100)),
        ({"ProductName": "Firefox", "BuildID": build_id(800), "Throttleable": "0"}, (REJECT, "has_old_buildid", 100)),
        ({"ProductName": "Firefox", "ReleaseChannel": "release", "Throttleable": "0"}, (ACCEPT, "throttleable_0", 100)),
        ({"ProductName": "Game", "Throttleable": "0"}, (REJECT, "unsupported_product", 100)),
        ({"ProductName": "Thunderbird", "ReleaseChannel": "release"}, (ACCEPT, "accept_everything", 100)),
        ({"ProductName": None}, (REJECT, "unsupported_product", 100)),
        ({}, (REJECT, "unsupported_product", 100)),
    ],
)
def test_whole_rule_set(
    build_throttler: BuildThrottler, crash: dict[str, Any], expected: tuple[Any, str, float]
) -> None:
    assert build_throttler().throttle(crash) == expected
