# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Mozilla's rules and products, and the rules and products that keep everything.

The first line of a condition's docstring says when its rule matches. The documentation shows this line.
"""

# ruff: noqa: ARG001 - conditions are all called with the same parameters

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from antenna.throttler.crash_view import product_of, safe_get, view
from antenna.throttler.engine import Throttler
from antenna.throttler.rule import ACCEPT, CONTINUE, FAKEACCEPT, REJECT, Rule

Crash = Mapping[str, Any]

_BUILD_ID = re.compile(r"(20[0-9]{2})([0-9]{2})([0-9]{2})[0-9]{6}")
_OLD = timedelta(days=730)

_INFOBAR_VERSIONS = tuple(f"{major}." for major in range(52, 60))
_INFOBAR_FIXED_BUILD_ID = "20171226"

_BACKGROUND_PROCESS_TYPES = frozenset(["gpu", "plugin", "rdd", "socket", "utility"])

# The build number of Windows 8.1. ESR 115 is the last Firefox for it, and for Windows 7 and 8.
_LAST_UNSUPPORTED_WINDOWS_BUILD = 9600


def always_match(throttler: Throttler, crash: object) -> bool:
    """Any crash."""
    return True


def match_old_buildid(throttler: Throttler, crash: Crash) -> bool:
    """``BuildID`` is ``20`` and 12 digits, its date 730 days ago or more."""
    match = _BUILD_ID.fullmatch(safe_get(crash, "BuildID"))
    if match is None:
        return False
    year, month, day = map(int, match.groups())
    try:
        built = date(year, month, day)
    except ValueError:
        return False
    return throttler.now().date() - built >= _OLD


def match_hangid_and_browser(throttler: Throttler, crash: Crash) -> bool:
    """``HangID`` is present, and ``ProcessType`` is absent or ``browser``."""
    return "HangID" in crash and safe_get(crash, "ProcessType", "browser") == "browser"


def match_infobar_true(throttler: Throttler, crash: Crash) -> bool:
    """Firefox 52 to 59 with a build id before 20171226, and ``SubmittedFromInfobar`` is ``true``."""
    return (
        product_of(crash) == "Firefox"
        and safe_get(crash, "SubmittedFromInfobar") == "true"
        and safe_get(crash, "Version").startswith(_INFOBAR_VERSIONS)
        and "" < safe_get(crash, "BuildID") < _INFOBAR_FIXED_BUILD_ID
    )


def match_b2g(throttler: Throttler, crash: Crash) -> bool:
    """The product is B2G in any letter case, and B2G is not a supported product."""
    product = product_of(crash)
    # The length is compared first, because changing the case of a long text takes a dozen bytes for each character.
    matches = len(product) == len("B2G") and product.lower() == "b2g" and "B2G" not in throttler.products
    if matches:
        throttler.unlisted.b2g()
    return matches


def match_unsupported_product(throttler: Throttler, crash: Crash) -> bool:
    """There is a list of supported products, and the product is not on it."""
    product = product_of(crash)
    matches = bool(throttler.products) and product not in throttler.products
    if matches:
        throttler.unlisted.product(product)
    return matches


def match_unsupported_android_packagename(throttler: Throttler, crash: Crash) -> bool:
    """There is a list of Android packages for the product, and ``Android_PackageName`` is not on it."""
    product = product_of(crash)
    packagenames = throttler.product_packagenames.get(product, ())
    name = safe_get(crash, "Android_PackageName") if "Android_PackageName" in crash else None
    matches = bool(packagenames) and name not in packagenames
    if matches:
        throttler.unlisted.packagename(product, name)
    return matches


def is_0(throttler: Throttler, value: str) -> bool:
    """``0``: the user asked for this crash to be processed, from about:crashes for instance."""
    return value == "0"


def is_present(throttler: Throttler, value: str) -> bool:
    """Present, whatever the value."""
    return True


def is_background(throttler: Throttler, value: str) -> bool:
    """``gpu``, ``plugin``, ``rdd``, ``socket`` or ``utility``."""
    return value in _BACKGROUND_PROCESS_TYPES


def is_shutdownkill(throttler: Throttler, value: str) -> bool:
    """``ShutDownKill``: a content process that took too long to shut down."""
    return value == "ShutDownKill"


def is_firefox_esr_unsupported_windows(throttler: Throttler, crash: Crash) -> bool:
    """Firefox on channel esr; ``TelemetryEnvironment`` has ``system.os`` Windows_NT with a build number up to 9600."""
    return (
        product_of(crash) == "Firefox"
        and safe_get(crash, "ReleaseChannel") == "esr"
        and match_unsupported_windows(throttler, crash)
    )


def match_unsupported_windows(throttler: Throttler, crash: Crash) -> bool:
    """``TelemetryEnvironment`` has ``system.os`` Windows_NT with a build number up to 9600, an integer other than 0."""
    operating_system = _operating_system(crash)
    build_number = operating_system.get("windowsBuildNumber")
    return (
        operating_system.get("name") == "Windows_NT"
        # JSON's true is an int in Python. Like in Mozilla's Antenna, it counts as 1.
        and isinstance(build_number, int)
        and bool(build_number)
        and build_number <= _LAST_UNSUPPORTED_WINDOWS_BUILD
    )


def _operating_system(crash: Crash) -> dict[str, Any]:
    """Return ``system.os`` of the telemetry environment. If a client sent anything else, return an empty dict."""
    value = view(crash).document("TelemetryEnvironment")
    for name in ("system", "os"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def is_alpha_beta_esr(throttler: Throttler, value: str) -> bool:
    """``aurora``, ``beta`` or ``esr``."""
    return value in ("aurora", "beta", "esr")


def is_nightly(throttler: Throttler, value: str) -> bool:
    """Starts with ``nightly``."""
    return value.startswith("nightly")


def is_firefox_desktop(throttler: Throttler, crash: Crash) -> bool:
    """Firefox on channel release."""
    return product_of(crash) == "Firefox" and safe_get(crash, "ReleaseChannel") == "release"


# These are lists, not tuples, because rule modules add their own rules to them with +.
MOZILLA_RULES: list[Rule] = [
    Rule("has_old_buildid", "*", match_old_buildid, REJECT),
    Rule("has_hangid_and_browser", "*", match_hangid_and_browser, REJECT),
    Rule("infobar_is_true", "*", match_infobar_true, REJECT),
    Rule("b2g", "*", match_b2g, FAKEACCEPT),
    Rule("unsupported_product", "*", match_unsupported_product, REJECT),
    Rule("unsupported_packagename", "*", match_unsupported_android_packagename, REJECT),
    Rule("throttleable_0", "Throttleable", is_0, ACCEPT),
    Rule("has_comments", "Comments", is_present, ACCEPT),
    Rule("has_phc", "PHCKind", is_present, ACCEPT),
    Rule("is_background", "ProcessType", is_background, ACCEPT),
    Rule("is_shutdownkill", "ipc_channel_error", is_shutdownkill, (10, CONTINUE, REJECT)),
    Rule("is_firefox_esr_unsupported_windows", "*", is_firefox_esr_unsupported_windows, (25, CONTINUE, REJECT)),
    Rule("is_alpha_beta_esr", "ReleaseChannel", is_alpha_beta_esr, ACCEPT),
    Rule("is_nightly", "ReleaseChannel", is_nightly, ACCEPT),
    Rule("is_firefox_desktop", "*", is_firefox_desktop, (10, ACCEPT, REJECT)),
    Rule("accept_everything", "*", always_match, ACCEPT),
]

ACCEPT_ALL: list[Rule] = [Rule("accept_everything", "*", always_match, ACCEPT)]

MOZILLA_PRODUCTS: list[str] = [
    "Fenix",
    "Firefox",
    "Firefox Enterprise",
    "Focus",
    "MozillaVPN",
    "ReferenceBrowser",
    "Thunderbird",
]

ALL_PRODUCTS: list[str] = []

ALL_PRODUCT_PACKAGENAMES: dict[str, list[str]] = {}

MOZILLA_PRODUCT_PACKAGENAMES: dict[str, list[str]] = {
    "Fenix": ["org.mozilla.firefox", "org.mozilla.firefox_beta", "org.mozilla.fenix"],
    "Focus": ["org.mozilla.focus", "org.mozilla.focus.beta", "org.mozilla.focus.nightly", "org.mozilla.klar"],
    "ReferenceBrowser": ["org.mozilla.reference.browser"],
}
