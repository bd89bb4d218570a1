# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Functions, files and lines of a module, from its SymCache, by address."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

try:
    import symbolic
except ImportError:  # installed by `make symbols`
    _symbolic: ModuleType | None = None
else:
    _symbolic = symbolic

try:
    import cxxfilt
except ImportError:
    _cxxfilt: Any = None
else:
    _cxxfilt = cxxfilt

# symbolic's address of a function whose start it does not know, such as that of an inlined one.
_UNKNOWN = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Name:
    """A function at an address, or one that was inlined there."""

    function: str
    offset: int | None
    """Of the address from the start of the function."""
    file: str | None
    line: int | None


class Names:
    """Looks up the functions at an address of one module."""

    def __init__(self, path: Path) -> None:
        """Open a SymCache. Raises ``ValueError`` if it cannot be read here: symbolic is missing, or another version."""
        if _symbolic is None:
            raise ValueError("the package symbolic is not installed: make symbols")
        try:
            self._cache = _symbolic.SymCache.open(str(path))
        except _symbolic.SymbolicError as error:
            raise ValueError(f"{path}: {error}") from error

    def at(self, offset: int) -> list[Name]:
        """Return the functions at ``offset`` from the start of the module: inlined ones first, then their caller."""
        return [
            Name(
                function=demangle(found.symbol),
                offset=None if found.sym_addr == _UNKNOWN else offset - found.sym_addr,
                file=found.full_path,
                line=found.line or None,
            )
            for found in self._cache.lookup(offset)
        ]


@lru_cache(maxsize=10_000)
def demangle(symbol: str) -> str:
    """Return a function's name as its source has it; what cannot be demangled stays as it is."""
    if _cxxfilt is None or not symbol.startswith(("_Z", "__Z")):
        return symbol
    try:
        name: str = _cxxfilt.demangle(symbol.removeprefix("_") if symbol.startswith("__Z") else symbol)
    except _cxxfilt.Error:
        return symbol
    return name
