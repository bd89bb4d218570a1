# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Shorter intervals in a program that tests start, so that they do not wait for those that operators have.

The environment of the program says ``INTERVALS="antenna.ops.watch._SEND=0.5 antenna.ops.watch._LOOK=0.5"``, and its
``PYTHONPATH`` has ``SITE``. Each constant is set when the program has imported its module.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

SITE = Path(__file__).parent / "site"


def shortened(intervals: Mapping[str, float], *paths: Path) -> dict[str, str]:
    """Return the environment of a program whose constants have these seconds. ``paths`` are for its PYTHONPATH, too."""
    for name in intervals:
        module = name.rpartition(".")[0]
        # The program would not notice, as it never imports this module.
        assert not name.startswith("antenna.") or (SITE.parents[2] / f"{module.replace('.', '/')}.py").exists(), name
    return {
        "INTERVALS": " ".join(f"{name}={seconds}" for name, seconds in intervals.items()),
        "PYTHONPATH": os.pathsep.join(map(str, (SITE.parents[2], SITE, *paths))),
    }


def shorten(environment: Mapping[str, str]) -> None:
    """Set the constants that the environment names in the modules that this process imports from now on."""
    values: dict[str, dict[str, float]] = {}
    for item in environment["INTERVALS"].split():
        name, _, seconds = item.partition("=")
        module, _, constant = name.rpartition(".")
        values.setdefault(module, {})[constant] = int(seconds) if seconds.isdecimal() else float(seconds)
    sys.meta_path.insert(0, _Finder(values))


class _Finder(MetaPathFinder):
    """Finds the modules whose constants are to be set, as Python would have found them."""

    def __init__(self, values: Mapping[str, Mapping[str, float]]) -> None:
        self._values = values

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._values:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_set(module: ModuleType) -> None:
            execute(module)
            for constant, seconds in self._values[fullname].items():
                if not hasattr(module, constant):
                    raise AttributeError(f"{fullname} has no {constant}")
                setattr(module, constant, seconds)

        spec.loader.exec_module = execute_and_set  # type: ignore[method-assign]  # of this loader only
        return spec
