# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The benchmark's command line."""

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench.backends import PUBSUB, STORAGE
from tests.bench.cases import CASES, Case
from tests.bench.decisions import decisions_table, measure_decisions
from tests.bench.measure import BenchmarkError, Plan, Run, measure
from tests.bench.profile import Profiling
from tests.bench.report import DETAILS, RESULTS, figures_table, machine, ratios_table
from tests.bench.setups import WORKING_TREE, Setup, check_out, parse_setup

DESCRIPTION = """\
Measures a collector, or compares several in one run, in turns.

A SETUP is a git revision or "." (the working tree, the default), options of the collector, or another collector:
  "HEAD~3"    ". GUNICORN_WORKERS=4"    'command="python -m other --port $PORT" directory=/path'
In the end it measures what a decision of the throttler costs, in the working tree.
Quote each as one argument. Setups are run with the packages of the Python that runs this."""


def main() -> int:
    """Run the cases and print the tables. Returns the exit code."""
    # SIGTERM stops the programs that were started, like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    parser = _parser()
    arguments = parser.parse_args()
    setups: list[Setup] = arguments.setups or [Setup(WORKING_TREE)]
    if len({setup.name for setup in setups}) < len(setups):
        parser.error("a setup cannot be compared with itself")
    profiling = Profiling(arguments.profile) if arguments.profile else None
    plan = Plan(arguments.seconds, arguments.repeat, arguments.emulators, profiling)
    runs: list[Run] = []
    exit_code = 0
    with tempfile.TemporaryDirectory(prefix="antenna-bench-code-") as parent:
        code = {setup.name: check_out(setup, Path(parent)) for setup in setups}
        for case in arguments.cases:
            try:
                runs += run_case(plan, setups, code, CASES[case])
            except (BenchmarkError, AssertionError) as error:
                print(error, file=sys.stderr)
                exit_code = 1
    _print(setups, runs)
    print(f"\n{decisions_table(measure_decisions())}")
    if profiling:
        print(profiling.summary())
    if arguments.json:
        document = {"machine": machine(), "seconds": arguments.seconds, "runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return exit_code


def run_case(plan: Plan, setups: list[Setup], code: dict[str, Path], case: Case) -> list[Run]:
    """Run a case with all setups in turns, so that other work on the machine hits all alike.

    Raises as ``measure`` does.
    """
    runs = []
    for repeat in range(plan.repeat):
        first = repeat % len(setups)
        for setup in setups[first:] + setups[:first]:
            print(f"{case.name}, {setup.name}, run {repeat + 1} of {plan.repeat}", file=sys.stderr, flush=True)
            runs.append(measure(plan, setup, code[setup.name], case))
    return runs


def _print(setups: list[Setup], runs: list[Run]) -> None:
    print(f"\n{machine()}")
    for setup in setups:
        own = [run for run in runs if run.setup == setup.name]
        print(f"\n{setup.name}\n\n{figures_table(own, RESULTS)}\n\n{figures_table(own, DETAILS)}")
    first, *others = setups
    for other in others:
        sides = ([run for run in runs if run.setup == setup.name] for setup in (first, other))
        print(f"\n{other.name} / {first.name}\n\n{ratios_table(*sides)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setups", nargs="*", metavar="SETUP", type=parse_setup)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long crashes are sent in one run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case")
    parser.add_argument("--json", type=Path, help="write all figures of all runs to this file")
    parser.add_argument(
        "--emulators",
        nargs="+",
        choices=[STORAGE, PUBSUB],
        default=[],
        help="real emulators instead of the sinks, for collectors that publish over gRPC; they know no latency",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        help="profile the collector with py-spy: a flame graph (.svg), or samples and a summary of them (.txt)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
