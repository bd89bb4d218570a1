# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fuzzes the collector: ``python -m tests.fuzz [--minutes 5] [TARGET...]``.

The fuzzer keeps its inputs in ``.fuzz/``, and begins with them the next time. An input that breaks a promise is written
there as ``TARGET-crash-*``. Move it to ``tests/fuzz/findings/TARGET/``, and it is a test from then on. The target
``expensive`` is a search for requests that cost too much: see ``tests.fuzz.expensive``.
"""

import argparse
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped, unused-ignore]  # comes without types, and not for every machine

with atheris.instrument_imports(include=["antenna", "gunicorn.http", "tests.fuzz"]):
    from tests.fuzz.corpus import LARGEST, WORDS, findings, seeds
    from tests.fuzz.targets import TARGETS
    from tests.support.minidumps.damage import mutations

# The name of the search for expensive requests, which uses no fuzzer.
EXPENSIVE = "expensive"
ALL = (*TARGETS, EXPENSIVE)

DIRECTORY = Path(".fuzz")
# If an input takes more seconds than this, or more MiB of memory, that is a finding, too.
TIMEOUT = 5
MEMORY = 1024
# Number of damaged minidumps that are read in addition to those that the fuzzer makes.
MUTATIONS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long in all")
    parser.add_argument("--run", choices=TARGETS, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", default=list(ALL), metavar="TARGET", help=", ".join(ALL))
    arguments = parser.parse_args()
    seconds = round(arguments.minutes * 60 / len(arguments.targets))
    if arguments.run:
        fuzz(arguments.run, seconds)
    # Each target has a process, because libFuzzer ends the process that it runs in.
    fuzzing = [sys.executable, "-m", "tests.fuzz", "--minutes", str(seconds / 60)]
    searching = [sys.executable, "-m", "tests.fuzz.expensive", "--seconds", str(seconds)]
    commands = (
        searching if target == EXPENSIVE else [*fuzzing, "--run", target, target] for target in arguments.targets
    )
    return max(subprocess.run(command, check=False).returncode for command in commands)


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one target. This does not return."""
    corpus = DIRECTORY / target
    corpus.mkdir(parents=True, exist_ok=True)
    inputs = [*seeds(target), *(path.read_bytes() for path in findings(target))]
    for number, data in enumerate(inputs):
        (corpus / f"seed-{number}").write_bytes(data)
    dictionary = DIRECTORY / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
    dictionary.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    options = {
        "artifact_prefix": f"{DIRECTORY}/{target}-",
        "dict": dictionary,
        "max_len": LARGEST,
        "max_total_time": seconds,
        "print_final_stats": 1,
        "rss_limit_mb": MEMORY,
        "timeout": TIMEOUT,
        "verbosity": 0,
    }
    if target == "minidumps":
        damage_minidumps(inputs)
    print(f"fuzzing {target} for {seconds} s", flush=True)
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(corpus)], TARGETS[target])
    atheris.Fuzz()


def damage_minidumps(inputs: list[bytes]) -> None:
    """Damage minidumps as a bad disk or an attacker would, in new ways each time.

    Coverage alone leads to few of these places.
    """
    seed = random.randrange(1 << 32)
    print(f"damaging minidumps {MUTATIONS:,} times, seed {seed}", flush=True)
    for content in inputs:
        for damaged in mutations(content, MUTATIONS // len(inputs) + 1, seed=seed):
            try:
                TARGETS["minidumps"](damaged)
            except BaseException:
                finding = DIRECTORY / f"minidumps-crash-{hashlib.sha256(damaged).hexdigest()[:16]}"
                finding.write_bytes(damaged)
                print(f"an input that breaks a promise: {finding}", flush=True)
                raise


if __name__ == "__main__":
    sys.exit(main())
