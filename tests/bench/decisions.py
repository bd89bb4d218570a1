# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Measures the cost of a decision of the throttler, for Mozilla's rules in Python and as a rules file.

The crashes are the annotation sets in tests/data.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antenna.config import build_config
from antenna.throttler import Throttler

ROOT = Path(__file__).resolve().parents[2]
RULES = {"Python": "antenna.throttler.MOZILLA_RULES", "file": str(ROOT / "docs" / "examples" / "mozilla.toml")}

# The metadata that the collector adds.
METADATA = {"user_agent": "Reporter/1.0", "payload": "json", "payload_compressed": "1", "payload_size": 165_000}

# The fastest run counts, because other work on the machine makes runs slower and never faster.
_RUNS = 30
# Decisions in a run.
_DECISIONS = 200


@dataclass(frozen=True)
class Decision:
    """The cost of a decision about one annotation set: microseconds of CPU, for each form of the rules."""

    name: str
    has_json: bool
    """Whether a rule looks into the telemetry environment."""
    microseconds: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """How many times as much it costs from the file."""
        return self.microseconds["file"] / self.microseconds["Python"]


def measure_decisions(runs: int = _RUNS, decisions: int = _DECISIONS) -> list[Decision]:
    """Measure all annotation sets, in turns."""
    throttlers = {where: _throttler(rules) for where, rules in RULES.items()}
    paths = sorted((ROOT / "tests" / "data" / "annotations").glob("*.json"))
    crashes: dict[str, dict[str, Any]] = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["annotations"] for path in paths
    }
    best = {name: dict.fromkeys(throttlers, float("inf")) for name in crashes}
    for _ in range(runs):
        for name, crash in crashes.items():
            for where, throttler in throttlers.items():
                best[name][where] = min(best[name][where], _microseconds(throttler, crash, decisions))
    return [Decision(name, "esr" in name, costs) for name, costs in best.items()]


def _throttler(rules: str) -> Throttler:
    config = build_config({"BREAKPAD_THROTTLER_RULES": rules})
    return Throttler(config.with_namespace("breakpad").with_namespace("throttler"))


def _microseconds(throttler: Throttler, crash: dict[str, Any], decisions: int) -> float:
    start = time.process_time()
    for _ in range(decisions):
        throttler.judge(crash, METADATA)
    return (time.process_time() - start) / decisions * 1e6


def decisions_table(decisions: list[Decision]) -> str:
    """Return the costs as a table."""
    lines = [f"{'decision, us of CPU':44} {'Python':>8} {'file':>8} {'ratio':>6}"]
    lines += [
        f"{decision.name:44} {decision.microseconds['Python']:8.1f} {decision.microseconds['file']:8.1f} "
        f"{decision.ratio:6.2f}"
        for decision in decisions
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(decisions_table(measure_decisions()))
