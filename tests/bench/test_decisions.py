# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A decision takes microseconds, and little more from a file than from Python."""

from statistics import median

from tests.bench.decisions import decisions_table, measure_decisions


def test_what_a_decision_costs() -> None:
    decisions = measure_decisions()

    assert len(decisions) == 12
    assert [
        decision.name for decision in decisions if not decision.has_json and decision.microseconds["Python"] > 50
    ] == []
    assert median(decision.ratio for decision in decisions) <= 1.5
    assert "04-firefox-esr-windows7" in decisions_table(decisions)
