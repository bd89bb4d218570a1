#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Show what throttle rules do, or would do, with crashes.

explain CRASH
  Prints each rule, in order: what it looked at, whether it matches, and its result. The verdict follows.
  CRASH is a crash id, or a file with a raw crash or annotations as JSON (- for stdin).

compare RULES_A RULES_B
  Compares two sets of rules on stored crashes, or on those in a directory. Prints how many crashes they would decide
  differently, with examples. Rules that sample are compared by rule and percentage, without drawing at random.

RULES are a rules file or a dotted path, as for BREAKPAD_THROTTLER_RULES. Crashes are judged as of the time when they
came in.
The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector.
If they are not set, it is that of 'make run', in .local.

Examples:
  bin/throttle.py explain de1bb258-cbbf-4589-a673-34f800261122 --rules new.toml
  bin/throttle.py compare /etc/antenna/rules.toml new.toml --date 2026-11-01..2026-11-22
  bin/throttle.py compare antenna.throttler.MOZILLA_RULES docs/examples/mozilla.toml --dir crashdata --json

"""

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _crashes  # isort: split

from antenna.config import ConfigurationError, build_config
from antenna.crash import crash_id as crash_ids
from antenna.crash import raw_crash_path
from antenna.throttler import Throttler
from antenna.throttler.explain import Explanation, explain

_PREFIX = "BREAKPAD_THROTTLER_"
_RULES, _LISTS = f"{_PREFIX}RULES", (f"{_PREFIX}PRODUCTS", f"{_PREFIX}PRODUCT_PACKAGENAMES")

# Things that stored crashes cannot show.
BLIND_SPOTS = (
    "crashes that were rejected, because they are not stored",
    "private annotations, because they were removed before the crashes were stored",
    "quotas",
)


def throttler_of(rules: str | None) -> Throttler:
    """Return a throttler with these rules, or with those of the environment. Raises ``ConfigurationError``."""
    environ = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    if rules is None:
        return _build(environ)
    environ[_RULES] = rules
    if not _build({_RULES: rules}).policy.is_file:
        return _build(environ)
    # If a rules file has lists of its own, those of the environment would contradict them.
    policy = _build({_RULES: rules}).policy
    for name, listed in zip(_LISTS, (policy.products, policy.product_packagenames), strict=True):
        if listed:
            environ.pop(name, None)
    return _build(environ)


def _build(environ: dict[str, str]) -> Throttler:
    return Throttler(build_config(environ).with_namespace("breakpad").with_namespace("throttler"))


def judge(throttler: Throttler, raw_crash: dict[str, Any]) -> Explanation:
    """Return what rules would do with a crash at the time when it came in."""
    try:
        submitted = datetime.fromisoformat(raw_crash["submitted_timestamp"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        submitted = datetime.now(UTC)
    throttler.now = lambda: submitted
    return explain(throttler, raw_crash)


def read_crash(argument: str) -> dict[str, Any]:
    """Return the raw crash that an argument names. Raises ``ToolError`` and ``BackendError``."""
    crash_id = argument.removeprefix("CrashID=").removeprefix("bp-")
    if crash_ids.is_valid(crash_id):
        content = _backends.storage().load(raw_crash_path(crash_id))
        if content is None:
            raise _common.ToolError(f"{crash_id} is not in the storage")
    else:
        content = sys.stdin.buffer.read() if argument == "-" else Path(argument).read_bytes()
    return parse(content, argument)


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Return a raw crash from its JSON. Raises ``ToolError``."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _common.ToolError(f"{name} is neither a crash id nor JSON: {error}") from error
    if not isinstance(value, dict):
        raise _common.ToolError(f"{name} is not a JSON object")
    return value


def explain_crash(args: argparse.Namespace) -> int:
    """Print the rules and the verdict. Returns the exit code."""
    throttler = throttler_of(args.rules)
    explanation = judge(throttler, read_crash(args.crash))
    if args.json:
        _common.print_json({"rules": throttler.policy.label, **asdict(explanation), "verdict": explanation.verdict})
        return 0
    width = max(len(step.rule_name) for step in explanation.steps)
    for step in explanation.steps:
        mark = f"matches: {step.results}" if step.matches else "no"
        print(_common.printable(f"{step.rule_name:{width}}  {step.seen.replace(chr(10), ' ')}  -> {mark}"))
    print(f"\n{throttler.policy.label}: {explanation.verdict}")
    return 0


def crashes_of(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and raw crashes, from a directory or the storage."""
    if args.dir is None:
        reader = _crashes.Reader(_backends.storage())
        for crash in reader.read(_backends.stored_ids(_backends.storage(), args.date)):
            yield crash.crash_id, crash.raw_crash
        return
    for path in sorted(args.dir.rglob("*")):
        # In the layout of a storage, the file of a raw crash is named by its id.
        if path.is_file() and (path.suffix == ".json" or (crash_ids.is_valid(path.name) and "raw_crash" in path.parts)):
            try:
                yield path.name, parse(path.read_bytes(), str(path))
            except _common.ToolError as error:
                _common.note(str(error))


class Comparison:
    """Counts crashes by what two sets of rules would do with them."""

    def __init__(self, examples: int) -> None:
        self.same = 0
        self.counts: dict[tuple[str, str], int] = defaultdict(int)
        self.examples: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._examples = examples

    def add(self, name: str, verdict_a: str, verdict_b: str) -> None:
        """Count one crash."""
        if verdict_a == verdict_b:
            self.same += 1
            return
        self.counts[verdict_a, verdict_b] += 1
        if len(self.examples[verdict_a, verdict_b]) < self._examples:
            self.examples[verdict_a, verdict_b].append(name)

    def differences(self) -> list[dict[str, Any]]:
        """Return the differences, the most frequent first."""
        return [
            {"a": pair[0], "b": pair[1], "crashes": count, "examples": self.examples[pair]}
            for pair, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        ]


def compare_rules(args: argparse.Namespace) -> int:
    """Print the differences. Returns the exit code."""
    throttler_a, throttler_b = throttler_of(args.rules_a), throttler_of(args.rules_b)
    comparison = Comparison(args.examples)
    for name, raw_crash in _common.Progress("compared").watch(crashes_of(args)):
        comparison.add(name, judge(throttler_a, raw_crash).verdict, judge(throttler_b, raw_crash).verdict)
    differences = comparison.differences()
    different = sum(comparison.counts.values())
    if args.json:
        _common.print_json(
            {
                "a": throttler_a.policy.label,
                "b": throttler_b.policy.label,
                "same": comparison.same,
                "different": different,
                "differences": differences,
                "not_seen": BLIND_SPOTS,
            }
        )
    else:
        print(f"a: {throttler_a.policy.label}\nb: {throttler_b.policy.label}")
        print(f"{comparison.same} crashes get the same verdict, {different} another one")
        for difference in differences:
            print(f"\n{difference['crashes']} crashes\n  a: {difference['a']}\n  b: {difference['b']}")
            print(f"  such as {', '.join(map(_common.printable, difference['examples']))}")
        print("\nNot seen:")
        for blind_spot in BLIND_SPOTS:
            print(f"* {blind_spot}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = _common.make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("explain", help="show what each rule decides about a crash")
    one.add_argument("crash", help="crash id, or file with a raw crash as JSON (- for stdin)")
    one.add_argument(
        "--rules", help="rules file or dotted path (default: the rules of the environment, as for the collector)"
    )
    one.set_defaults(run=explain_crash)
    two = commands.add_parser("compare", help="show where two sets of rules differ")
    two.add_argument("rules_a", metavar="RULES_A", help="a rules file, or a dotted path to Python")
    two.add_argument("rules_b", metavar="RULES_B", help="the rules to compare with")
    where = two.add_mutually_exclusive_group()
    where.add_argument(
        "--date",
        type=_backends.parse_dates,
        default="today",
        help="day of the crash ids, or days: 2026-11-27, 2026-11-01..2026-11-27, today, yesterday "
        "(default: today, in UTC)",
    )
    where.add_argument("--dir", type=Path, help="a directory with raw crashes, such as bin/fetch_crashes.py fills")
    two.add_argument(
        "--examples",
        type=_common.positive_int,
        default=3,
        help="number of ids to print for each difference (default: 3)",
    )
    two.set_defaults(run=compare_rules)
    for command in (one, two):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def main() -> int:
    """Run the command. Returns the exit code."""
    args = parse_arguments()
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS, ConfigurationError)
