# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.
"""Searches for expensive requests: ``python -m tests.fuzz.expensive [--seconds 60]``.

It changes requests that are made by a recipe, and keeps the worst for CPU, for memory and for the time of the hub. Each
of these is also taken for each byte on the wire. A request that costs more than any request may is a finding: its
recipe is written to ``.fuzz/``. Move it to ``tests/fuzz/findings/expensive/``, and it is a test from then on.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.costs import Cost, measure
from tests.fuzz.recipes import Recipe, seeds

DIRECTORY = Path(".fuzz")
FINDINGS = Path(__file__).parent / "findings" / "expensive"
MEASURES = ("cpu", "memory", "hub")
# Below this number of bytes on the wire, any request costs the same.
_SMALL = 5_000

Measure = Callable[[bytes], Cost]


@dataclass(frozen=True)
class Worst:
    """The worst recipe for a measure, how bad it is, and its cost."""

    value: float
    recipe: Recipe
    cost: Cost


class Search:
    """Keeps the worst recipe for each measure, and for each measure divided by the bytes on the wire."""

    def __init__(self, measure: Measure, rng: Random) -> None:
        """``measure`` returns the cost of a request."""
        self._measure = measure
        self._rng = rng
        self.worst: dict[str, Worst] = {}
        self.findings: list[tuple[Recipe, Cost]] = []

    def begin(self) -> Iterator[None]:
        """Try the first recipes. Yields after each."""
        for recipe in seeds():
            self.try_recipe(recipe)
            yield

    def go_on(self) -> None:
        """Change one of the worst recipes, a little or somewhat more, and keep the result if it is worse."""
        recipe = self.worst[self._rng.choice(sorted(self.worst))].recipe
        for _ in range(self._rng.choice([1, 1, 2, 4])):
            recipe = recipe.mutate(self._rng)
        self.try_recipe(recipe)

    def try_recipe(self, recipe: Recipe) -> None:
        """Measure the cost of a recipe, and keep it if it is the worst."""
        cost = self._measure(recipe.render())
        if max(cost.cpu, cost.memory, cost.hub) > 1:
            cost = self._measure(recipe.render())  # once more: something else may have been going on
            if max(cost.cpu, cost.memory, cost.hub) > 1:
                self.findings.append((recipe, cost))
        for name in MEASURES:
            value: float = getattr(cost, name)
            self._keep(name, value, recipe, cost)
            self._keep(f"{name} by the byte", value / (cost.wire_size + _SMALL), recipe, cost)

    def _keep(self, name: str, value: float, recipe: Recipe, cost: Cost) -> None:
        if name not in self.worst or value > self.worst[name].value:
            self.worst[name] = Worst(value, recipe, cost)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.expensive", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="to search in the same way again")
    arguments = parser.parse_args()
    print(f"searching for expensive requests for {arguments.seconds:.0f} s, --seed {arguments.seed}", flush=True)
    end = time.monotonic() + arguments.seconds
    search = Search(measure, Random(arguments.seed))
    tried = 0
    for tried, _ in enumerate(search.begin(), start=1):  # noqa: B007 - how many there were
        if time.monotonic() > end:
            break
    while time.monotonic() < end:
        search.go_on()
        tried += 1
    print(f"tried {tried} requests; the worst:")
    for name, worst in search.worst.items():
        print(f"  {name}: {worst.cost}")
    DIRECTORY.mkdir(exist_ok=True)
    for recipe, cost in search.findings:
        path = DIRECTORY / f"expensive-{hashlib.sha256(recipe.dumps().encode()).hexdigest()[:12]}.json"
        path.write_text(recipe.dumps() + "\n", encoding="ascii")
        print(f"TOO EXPENSIVE, {path}: {cost}")
    return min(len(search.findings), 1)


if __name__ == "__main__":
    sys.exit(main())
