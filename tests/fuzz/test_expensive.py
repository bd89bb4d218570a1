# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""No recipe that the search begins with, or has found, is expensive. The search finds expensive requests."""

from pathlib import Path
from random import Random

import pytest

import tests.fuzz.recipes
from tests.fuzz.costs import Cost, measure
from tests.fuzz.expensive import FINDINGS, Search
from tests.fuzz.recipes import Content, Part, Recipe, seeds

# The factor by which other work on the machine slows a request down, since caches and clock rate are shared.
_SLOWNESS = 2

needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process's memory anew"
)

FOUND = sorted(FINDINGS.glob("*.json"))


def assert_cheap(recipe: Recipe) -> None:
    cost = measure(recipe.render())
    assert cost.memory < 1, cost
    assert max(cost.cpu, cost.hub) < _SLOWNESS, cost


@needs_linux
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_findings(path: Path) -> None:
    assert_cheap(Recipe.loads(path.read_text(encoding="ascii")))


@needs_linux
@pytest.mark.parametrize("recipe", seeds()[::17], ids=lambda recipe: recipe.dumps()[:70])
def test_seeds(recipe: Recipe) -> None:
    assert_cheap(recipe)


@pytest.fixture
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make requests small, so that making many of them takes no time."""
    monkeypatch.setattr(tests.fuzz.recipes, "LARGEST", 20_000)


class TestRecipes:
    @pytest.mark.usefixtures("small_requests")
    @pytest.mark.parametrize("seed", range(0, 30, 2))
    def test_any_can_be_sent_and_kept(self, seed: int) -> None:
        rng = Random(seed)
        recipe = rng.choice(seeds())
        for _ in range(seed):
            recipe = recipe.mutate(rng)
        request = recipe.render()

        assert request.startswith(b"POST /submit HTTP/1.1\r\n")
        assert len(request) < 1_000_000
        assert Recipe.loads(recipe.dumps()) == recipe
        assert Recipe.loads(recipe.dumps()).render() == request


@pytest.mark.usefixtures("small_requests")
def test_the_search_finds_what_is_expensive() -> None:
    """A function stands in for the collector. In it, brackets in text cost time, and each part costs memory."""

    def pretend(request: bytes) -> Cost:
        return Cost(request.count(b"[[[") / 200, request.count(b"Disposition") / 20, 0.1, len(request), "")

    search = Search(pretend, Random(1))
    recipe = Recipe(parts=(Part(content=Content()),), level=0)
    search.try_recipe(recipe)
    for _ in range(400):
        search.go_on()

    assert search.worst["cpu"].cost.cpu > 1
    assert search.worst["memory"].cost.memory > 1
    assert search.findings
