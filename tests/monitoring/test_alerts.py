# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each fault fires the alert of its runbook, and no other alert. Normal traffic fires no alert."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from antenna.ops.registry import load_metrics
from tests.support.prometheus import ALERTS, Promtool, Scenario
from tests.support.server import PROJECT_ROOT

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
ALERT_RULES = [rule for rule in RULES if "alert" in rule]
NAMES = [rule["alert"] for rule in ALERT_RULES]

INSTANCE = 'job="antenna",instance="collector-1:8001"'
MIB = 1024 * 1024

# The series of a collector without faults: 40 minutes, 160 steps of 15 seconds. A crash comes every three seconds.
WELL = {
    "up": "1x160",
    "antenna_breakpad_resource_incoming_crash_total": "0+5x160",
    'antenna_requests_total{outcome="accepted"}': "0+5x160",
    'antenna_crashes_lost_total{cause="spool_full"}': "0x160",
    'antenna_crashes_astray_total{how="path"}': "0x160",
    'antenna_crashes_astray_total{how="method"}': "0x160",
    'antenna_crashmover_backend_up{backend="storage"}': "1x160",
    'antenna_crashmover_backend_up{backend="publish"}': "1x160",
    'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': "0x160",
    "antenna_crashmover_spool_writable": "1x160",
    "antenna_crashmover_spool_size_bytes": "0x160",
    "antenna_crashmover_spool_room_bytes": f"{1000 * MIB}x160",
    "antenna_crashmover_spool_set_aside": "0x160",
    "antenna_crashmover_spool_oldest_age_seconds": "0x160",
    "antenna_crashmover_unpublished_total": "0x160",
    "antenna_instance_temp_writable": "1x160",
    "antenna_instance_connections": "40x160",
    "antenna_instance_connections_most": "8000x160",
    "antenna_instance_loop_lag_seconds": "0.02x160",
    'antenna_instance_workers_ended_total{cause="killed"}': "0x160",
    'antenna_instance_workers_ended_total{cause="stopped"}': "0x160",
    'antenna_throttle_rules_loaded_total{outcome="refused"}': "0x160",
    'antenna_metrics_dropped_total{cause="statsd"}': "0x160",
}

# The minutes at which alerts are looked at: before a fault and while it lasts; when normal things happen, and after.
# Faults last, so their rules are evaluated every two minutes only, which takes half the time.
MINUTES_OF_FAULT = (18, 38)
MINUTES_OF_NORMAL = (10, *range(20, 40))

# The time without a fault before a fault begins: 20 minutes, or 80 steps.
WELL_AT_FIRST = "x80"
SPOOLED = f"0{WELL_AT_FIRST} 0+{MIB}x80"
# The storage is down, and crashes have waited for long: that is no fault of its own.
DOWN = {
    'antenna_crashmover_backend_up{backend="storage"}': f"1{WELL_AT_FIRST} 0x80",
    "antenna_crashmover_spool_oldest_age_seconds": f"0{WELL_AT_FIRST} 1000+15x80",
}
PUBLISHING_IS_DOWN = {'antenna_crashmover_backend_up{backend="publish"}': f"1{WELL_AT_FIRST} 0x80"}
LOST = f"0{WELL_AT_FIRST} 0+1x80"


def losing(cause: str) -> dict[str, str]:
    return {f'antenna_crashes_lost_total{{cause="{cause}"}}': LOST}


# For each fault, the alert that fires and the series that differ.
FAULTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "storage refuses connections": (
        "BackendDown",
        DOWN
        | {'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': f"0{WELL_AT_FIRST} 0+1x80"},
    ),
    "publishing is denied": (
        "BackendDown",
        PUBLISHING_IS_DOWN,
    ),
    "publishing is down and there is no spool": (
        "Unpublished",
        PUBLISHING_IS_DOWN | {"antenna_crashmover_unpublished_total": f"0{WELL_AT_FIRST} 0+1x80"},
    ),
    "one id is not published": ("Unpublished", {"antenna_crashmover_unpublished_total": "0x140 1x20"}),
    "a collector does not publish its first id before anybody asks it": (
        "Unpublished",
        {"antenna_crashmover_unpublished_total": "_x140 1x20"},
    ),
    "an entry fails again and again": (
        "SpoolStuck",
        {"antenna_crashmover_spool_oldest_age_seconds": "0x20 15+15x139"},
    ),
    "storage fails half of the time": (
        "BackendDown",
        {'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': f"0{WELL_AT_FIRST} 0+3x80"},
    ),
    "storage is down and there is no spool": ("CrashesLost", DOWN | losing("no_spool")),
    "one crash is lost": ("CrashesLost", {'antenna_crashes_lost_total{cause="error"}': "0x140 1x20"}),
    "a collector loses its first crash before anybody asks it": (
        "CrashesLost",
        {'antenna_crashes_lost_total{cause="error"}': "_x140 1x20"},
    ),
    "storage is down and the spool is full": (
        "CrashesLost",
        DOWN
        | losing("spool_full")
        | {
            "antenna_crashmover_spool_room_bytes": f"{MIB}{WELL_AT_FIRST} 0x80",
            "antenna_crashmover_spool_size_bytes": SPOOLED,
        },
    ),
    "storage is down and the spool cannot be written": (
        "CrashesLost",
        DOWN | losing("spool_error") | {"antenna_crashmover_spool_writable": f"1{WELL_AT_FIRST} 0x80"},
    ),
    "temporary files cannot be written and crashes need them": (
        "CrashesLost",
        losing("temp") | {"antenna_instance_temp_writable": f"1{WELL_AT_FIRST} 0x80"},
    ),
    "annotations take all memory": ("CrashesLost", losing("memory")),
    "spool is four fifths full": (
        "SpoolFullSoon",
        DOWN
        | {
            "antenna_crashmover_spool_size_bytes": f"0{WELL_AT_FIRST} {850 * MIB}x80",
            "antenna_crashmover_spool_room_bytes": f"{1000 * MIB}{WELL_AT_FIRST} {150 * MIB}x80",
        },
    ),
    "spool will be full in two hours": (
        "SpoolFullSoon",
        DOWN
        | {
            "antenna_crashmover_spool_size_bytes": f"0{WELL_AT_FIRST} 0+{4 * MIB}x80",
            "antenna_crashmover_spool_room_bytes": f"{1000 * MIB}{WELL_AT_FIRST} {1000 * MIB}-{4 * MIB}x80",
        },
    ),
    "others fill the disk of the spool": (
        "SpoolFullSoon",
        {
            "antenna_crashmover_spool_room_bytes": f"{1000 * MIB}{WELL_AT_FIRST} 0x80",
            "antenna_crashmover_spool_writable": f"1{WELL_AT_FIRST} 0x80",
        },
    ),
    "spool is read-only": (
        "SpoolNotWritable",
        {
            "antenna_crashmover_spool_writable": f"1{WELL_AT_FIRST} 0x80",
            "antenna_crashmover_spool_oldest_age_seconds": f"0{WELL_AT_FIRST} 1000+15x80",
        },
    ),
    "temporary files cannot be written": (
        "TemporaryFilesFail",
        {"antenna_instance_temp_writable": f"1{WELL_AT_FIRST} 0x80"},
    ),
    "balancer leads elsewhere": (
        "NoTraffic",
        {"antenna_breakpad_resource_incoming_crash_total": f"0+5{WELL_AT_FIRST} 400x80"},
    ),
    "collector does not start": (
        "CannotStart",
        {"up": f"1{WELL_AT_FIRST} 0x80", "antenna_breakpad_resource_incoming_crash_total": "0+5x78 390x2 _x80"},
    ),
    "nobody knows of a collector": (
        "CannotStart",
        {name: values.replace("x160", "x80") for name, values in WELL.items()},
    ),
    "an entry is damaged": ("SetAside", {"antenna_crashmover_spool_set_aside": f"0{WELL_AT_FIRST} 1x80"}),
    "a worker is killed": ("WorkerDeaths", {'antenna_instance_workers_ended_total{cause="killed"}': "0x140 1x20"}),
    "a worker is stuck": ("WorkerDeaths", {'antenna_instance_workers_ended_total{cause="stuck"}': "_x140 1x20"}),
    "processor is overloaded": ("LoopLag", {"antenna_instance_loop_lag_seconds": f"0.02{WELL_AT_FIRST} 0.8x80"}),
    "slow clients hold all connections": (
        "ConnectionsHigh",
        {"antenna_instance_connections": f"40{WELL_AT_FIRST} 8000x80"},
    ),
    "a product has a wrong path": (
        "WrongPath",
        {'antenna_crashes_astray_total{how="path"}': f"0{WELL_AT_FIRST} 0+1x80"},
    ),
    "all products have a wrong path": (
        "WrongPath",
        {
            'antenna_crashes_astray_total{how="path"}': f"0{WELL_AT_FIRST} 0+5x80",
            "antenna_breakpad_resource_incoming_crash_total": f"0+5{WELL_AT_FIRST} 400x80",
        },
    ),
    "a redirect turns POST into GET": (
        "WrongPath",
        {'antenna_crashes_astray_total{how="method"}': f"0{WELL_AT_FIRST} 0+2x80"},
    ),
    "a rule raises": ("RuleError", {'antenna_throttle_rule_error_total{rule="mine"}': "_x140 1x20"}),
    "new rules are broken": ("RuleError", {'antenna_throttle_rules_loaded_total{outcome="refused"}': "0x140 1x20"}),
    "statsd is away": (
        "MetricsDropped",
        {'antenna_metrics_dropped_total{cause="statsd"}': f"0{WELL_AT_FIRST} 0+10x80"},
    ),
}

# Events of a normal week, which fire no alert.
NORMAL: dict[str, Mapping[str, str]] = {
    "nothing happens": {},
    "no crash comes at night where few come by day": {
        "antenna_breakpad_resource_incoming_crash_total": "0+1x20 20x140"
    },
    "storage is down for half a minute": {
        'antenna_crashmover_backend_up{backend="storage"}': "1x80 0x2 1x78",
        'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': "0x240 40x80",
        "antenna_crashmover_spool_size_bytes": f"0x80 {5 * MIB}x5 0x75",
    },
    "a bucket fails now and then": {
        'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': "0x40 1x40 2x40 5x40"
    },
    "scanners come and go": {'antenna_crashes_astray_total{how="path"}': "0x80 0+50x6 350x74"},
    "a monitor asks for /submit once a minute": {
        'antenna_crashes_astray_total{how="method"}': " ".join(f"{n}x3" for n in range(53))
    },
    "what an outage has left is delivered": {"antenna_crashmover_spool_oldest_age_seconds": "0x80 9000-200x36 0x44"},
    "workers are replaced, as they are meant to be": {
        'antenna_instance_workers_ended_total{cause="stopped"}': "0+1x160"
    },
    "an instance is replaced by another": {"up": "1x80"},
    "an instance restarts, and does not answer for a minute": {
        "up": "1x80 0x4 1x76",
        "antenna_breakpad_resource_incoming_crash_total": "0+5x80 _x4 0+5x76",
    },
    "a start takes all of the processor for a minute": {"antenna_instance_loop_lag_seconds": "0.02x80 2x4 0.02x76"},
    "a burst of clients": {"antenna_instance_connections": "40x80 7900x3 40x77"},
    "statsd restarts": {'antenna_metrics_dropped_total{cause="statsd"}': "0x80 0+50x4 250x76"},
    "there is no spool": {name: "_x160" for name in WELL if "spool" in name},
}


def series(changes: Mapping[str, str]) -> dict[str, str]:
    """The series of an instance that works, with ``changes``."""
    return {_of_instance(name): values for name, values in (WELL | dict(changes)).items()}


def beside_another(changes: Mapping[str, str]) -> dict[str, str]:
    """The series of an instance with ``changes``, and of one that works."""
    others = {name.replace("collector-1", "collector-2"): values for name, values in series({}).items()}
    return others | series(changes)


def _of_instance(name: str) -> str:
    name, _, labels = name.partition("{")
    return f"{name}{{{INSTANCE}{',' if labels else '}'}{labels}"


def test_rules_and_configuration_are_valid(promtool: Promtool) -> None:
    promtool.check("rules", ALERTS)
    promtool.check("config", ALERTS.with_name("prometheus.yml"))


@pytest.fixture(scope="module")
def firing(promtool: Promtool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[set[str]]]:
    """Which alerts fire in each scenario."""
    directory = tmp_path_factory.mktemp("alerts")
    faults = [Scenario(series(changes), MINUTES_OF_FAULT) for _, changes in FAULTS.values()]
    normal = [Scenario(beside_another(changes), MINUTES_OF_NORMAL) for changes in NORMAL.values()]
    found = [*promtool.firing(directory, faults, every="2m"), *promtool.firing(directory, normal)]
    return dict(zip([*FAULTS, *NORMAL], found, strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_fires_its_alert_and_no_other(firing: dict[str, list[set[str]]], fault: str) -> None:
    alert, _ = FAULTS[fault]

    assert firing[fault] == [set(), {alert}]


def test_every_alert_has_a_fault() -> None:
    assert {alert for alert, _ in FAULTS.values()} == set(NAMES)


@pytest.mark.parametrize("what", NORMAL)
def test_what_is_normal_fires_nothing(firing: dict[str, list[set[str]]], what: str) -> None:
    assert set().union(*firing[what]) == set()


def test_rules_ask_for_metrics_that_there_are() -> None:
    known = {metric.prometheus_name: metric for metric in load_metrics().values()}
    asked = {
        match[1]: match[2] or ""
        for rule in RULES
        for match in re.finditer(r"\b(antenna_\w+)(?:\{([^}]*)\})?", rule["expr"])
    }

    assert asked.keys() <= known.keys()
    for name, matchers in asked.items():
        for label, value in re.findall(r'(\w+)!?="(\w+)"', matchers):
            if label != "job":
                assert value in (known[name].tags[label].values or {value}), name


def test_every_alert_has_a_runbook_and_a_severity() -> None:
    text = (PROJECT_ROOT / "docs" / "runbooks.rst").read_text(encoding="utf-8")
    sections = re.findall(r"^\.\. _(\w+):\n\n(\w+)\n-+$", text, re.MULTILINE)

    assert [title for _, title in sections] == list(dict.fromkeys(NAMES)), "in the order of the alerts"
    for anchor, title in sections:
        assert anchor == title.lower()
    for rule in ALERT_RULES:
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.rst#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
