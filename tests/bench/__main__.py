# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The benchmark's command line."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench.cases import CASES
from tests.bench.measure import BenchmarkError, Run, measure
from tests.bench.profile import Profiling
from tests.bench.report import machine, ratios_table, results_table
from tests.bench.setups import WORKING_TREE, Setup, check_out, parse_setup

DESCRIPTION = """\
Measures a collector, or compares several in one run, in turns.

A SETUP is a git revision or "." (the working tree, the default), options of the collector, or another collector:
  "HEAD~3"    ". GUNICORN_WORKER_CLASS=sync"    'command="python -m other --port $PORT" directory=/path'
Quote each as one argument. Setups are run with the packages of the Python that runs this."""


def main() -> int:
    """Run the cases and print the tables. Returns the exit code."""
    arguments = _parser().parse_args()
    setups: list[Setup] = arguments.setups or [Setup(WORKING_TREE)]
    cases = [CASES[name] for name in arguments.cases]
    runs: list[Run] = []
    profiling = Profiling(arguments.profile) if arguments.profile else None
    with tempfile.TemporaryDirectory(prefix="antenna-bench-code-") as parent:
        code = {setup.name: check_out(setup, Path(parent)) for setup in setups}
        for case in cases:
            for repeat in range(arguments.repeat):
                # In turns, and each first as often as the other.
                for setup in setups if repeat % 2 == 0 else setups[::-1]:
                    print(f"{case.name}, {setup.name}, run {repeat + 1} ...", file=sys.stderr, flush=True)
                    try:
                        runs.append(measure(setup, case, code[setup.name], arguments.seconds, profiling))
                    except (BenchmarkError, AssertionError) as error:
                        print(f"{setup.name}: {error}", file=sys.stderr)
                        return 1
    _print(setups, runs, arguments.repeat)
    if profiling:
        print(profiling.summary())
    if arguments.json:
        document = {"machine": machine(), "seconds": arguments.seconds, "runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _print(setups: list[Setup], runs: list[Run], repeat: int) -> None:
    print(f"\n{machine()}. Medians of {repeat} runs.")
    for setup in setups:
        print(f"\n{setup.name}\n\n{results_table([run for run in runs if run.setup == setup.name])}")
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
    parser.add_argument("--profile", type=Path, help="write a flame graph of the collector (SVG) with py-spy")
    return parser


if __name__ == "__main__":
    sys.exit(main())
