# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A decision takes microseconds, and little more from a file than from Python."""

from statistics import median

from tests.bench.decisions import Decision, decisions_table, measure_decisions


def expensive(decisions: list[Decision]) -> list[str]:
    """Return what costs more than it may."""
    slow = [item.name for item in decisions if not item.has_json and item.microseconds["Python"] > 50]
    ratio = median(decision.ratio for decision in decisions)
    return [*slow, f"a file costs {ratio:.2f} times as much"] if ratio > 1.5 else slow


def test_what_a_decision_costs() -> None:
    # Other work on the machine may slow down all of a measurement. It is taken again, for at most as long as all of
    # ``measure_decisions`` takes without arguments.
    attempts = 0
    while expensive(decisions := measure_decisions(runs=20, decisions=20)) and attempts < 15:
        attempts += 1

    assert len(decisions) == 12
    assert expensive(decisions) == []
    assert "04-firefox-esr-windows7" in decisions_table(decisions)
