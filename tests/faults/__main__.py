# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Plays schedules of faults: ``python -m tests.faults --help``."""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from pathlib import Path
from typing import Any

from tests.faults.machine import build_library
from tests.faults.play import Emulators, Outcome, play
from tests.faults.schedule import TROUBLES, make_schedule
from tests.support.emulators import running_gcs, running_pubsub

# Number of schedules that share emulators. These keep everything in memory.
_BATCH = 20


def main() -> int:
    """Play schedules; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the first; the others follow (default: random)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: %(default)s)")
    parser.add_argument("--troubles", nargs="+", choices=TROUBLES, help="kinds of trouble (default: by the seed)")
    parser.add_argument("--json", type=Path, help="file for the summary")
    parser.add_argument("--logs", type=Path, help="directory for the collectors' logs of schedules with problems")
    arguments = parser.parse_args()
    first = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    print(f"{arguments.schedules} schedules, --seed {first}", flush=True)
    start = time.monotonic()
    seeds = range(first, first + arguments.schedules)
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(arguments.jobs) as jobs:
        size = max(1, min(_BATCH, -(-len(seeds) // arguments.jobs)))
        batches = [seeds[begin : begin + size] for begin in range(0, len(seeds), size)]
        games = [jobs.submit(_play_batch, batch, arguments.troubles, arguments.logs) for batch in batches]
        for future in as_completed(games):
            outcomes += future.result()
            failed = sum(bool(outcome.problems) for outcome in outcomes)
            print(f"{len(outcomes)} of {len(seeds)} played, {failed} with problems", flush=True)
    summary = _summary(outcomes, time.monotonic() - start)
    print(json.dumps(summary, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({**summary, "outcomes": [_without_logs(outcome) for outcome in outcomes]}))
    return 1 if summary["with_problems"] else 0


def _play_batch(seeds: Sequence[int], troubles: Sequence[str] | None, logs: Path | None) -> list[Outcome]:
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="antenna-faults-") as name:
        directory = Path(name)
        library = build_library(directory)
        with running_gcs(directory) as storage, running_pubsub(directory) as pubsub:
            for seed in seeds:
                outcome = play(make_schedule(seed, troubles), Emulators(storage, pubsub), library)
                _report(outcome)
                # Logs are written at once, because somebody who plays thousands of schedules may not wait for the last
                # one.
                if outcome.problems and logs:
                    logs.mkdir(parents=True, exist_ok=True)
                    (logs / f"{seed}.log").write_text(outcome.logs)
                outcomes.append(outcome)
    return outcomes


def _report(outcome: Outcome) -> None:
    """Print a line, and what is wrong."""
    state = "PROBLEM" if outcome.problems else "ok"
    counts = (
        f"{outcome.promised} promised, {outcome.published_twice} twice, {dict(outcome.requests)}, "
        f"slowest answer {outcome.slowest_answer:.1f} s, spool empty after {outcome.delivered_after:.1f} s"
    )
    print(f"{state} --seed {outcome.seed}: {counts}; {outcome.schedule}", flush=True)
    for problem in outcome.problems[:10]:
        print(f"    {problem[:2000]}", flush=True)


def _without_logs(outcome: Outcome) -> dict[str, Any]:
    return {field.name: getattr(outcome, field.name) for field in fields(outcome) if field.name != "logs"}


def _summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    requests: Counter[str] = Counter()
    for outcome in outcomes:
        requests.update(outcome.requests)
    return {
        "schedules": len(outcomes),
        "seconds": round(seconds, 1),
        "with_problems": {outcome.seed: outcome.problems[:10] for outcome in outcomes if outcome.problems},
        "not_possible_here": Counter(message for outcome in outcomes for message in outcome.missing),
        "requests": requests,
        **{
            name: sum(getattr(outcome, name) for outcome in outcomes)
            for name in ("promised", "saved", "unpromised", "published_twice", "starts", "left_in_tmp")
        },
        "slowest_delivery": round(max(outcome.delivered_after for outcome in outcomes), 2),
        "slowest_answer": round(max(outcome.slowest_answer for outcome in outcomes), 2),
        "slowest_heartbeat": round(max(outcome.slowest_heartbeat for outcome in outcomes), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
