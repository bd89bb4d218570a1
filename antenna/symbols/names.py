# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Looks up functions, files and lines of a module by address, in its SymCache."""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

try:
    import symbolic
except ImportError:  # installed by `make symbols`
    _symbolic: ModuleType | None = None
else:
    _symbolic = symbolic

# The address that symbolic gives for a function whose start it does not know, such as an inlined one.
_UNKNOWN = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Name:
    """A function at an address, or one that was inlined there."""

    function: str
    offset: int | None
    """Offset of the address from the start of the function."""
    file: str | None
    line: int | None


class Names:
    """Looks up the functions at the addresses of one module."""

    def __init__(self, path: Path) -> None:
        """Open a SymCache. Raises ``ValueError`` if symbolic is not installed, or cannot read this file."""
        if _symbolic is None:
            raise ValueError("the package symbolic is not installed: make symbols")
        try:
            self._cache = _symbolic.SymCache.open(str(path))
        except _symbolic.SymbolicError as error:
            raise ValueError(f"{path}: {error}") from error

    def at(self, offset: int) -> list[Name]:
        """Return the functions at ``offset`` from the start of the module: inlined ones come before their caller."""
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
    """Return a function's name as it is in the source. If it cannot be demangled, it is returned unchanged."""
    cxxfilt = _cxxfilt() if symbol.startswith(("_Z", "__Z")) else None
    if cxxfilt is None:
        return symbol
    try:
        name: str = cxxfilt.demangle(symbol.removeprefix("_") if symbol.startswith("__Z") else symbol)
    except cxxfilt.Error:
        return symbol
    return name


def prepare_demangling() -> None:
    """Import what ``demangle`` needs. Call this in gevent's own thread before names are looked up in another one."""
    _cxxfilt()


@cache
def _cxxfilt() -> Any:
    """Return the package cxxfilt, None if it is not installed.

    It runs ldconfig when it is imported. That takes a moment, and gevent can start programs only in its own thread.
    """
    try:
        import cxxfilt  # noqa: PLC0415 - only if a name needs it
    except ImportError:
        return None
    return cxxfilt
