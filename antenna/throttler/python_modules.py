# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Imports an operator's own Python module from its source, and imports it again when the source has changed.

The module may import other modules of the operator. Modules of Python, of installed packages and of the collector are
imported as usual, and only once. The sources are kept as texts, so that the same module can be imported while its files
are broken.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_ANTENNA = Path(__file__).resolve().parents[1]


class NoSuchAttribute(Exception):
    """A module does not have the attribute that a dotted path names."""


@dataclass(frozen=True)
class ModuleSource:
    """The source of a module, and the file that it comes from."""

    text: str
    path: str
    is_package: bool


class _KeptModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules from kept texts."""

    def __init__(self, sources: Mapping[str, ModuleSource]) -> None:
        self._sources = sources

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        source = self._sources.get(fullname)
        if source is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=source.path, is_package=source.is_package)

    def exec_module(self, module: ModuleType) -> None:
        source = self._sources[module.__name__]
        module.__file__ = source.path
        exec(compile(source.text, source.path, "exec"), vars(module))  # noqa: S102 - an import runs the operator's code


def import_from_source(
    module_name: str, attribute: str, kept: Mapping[str, ModuleSource], imported: set[str]
) -> tuple[Any, dict[str, ModuleSource]]:
    """Return an attribute of a module, and the sources of the operator's own modules that the import has run.

    :param kept: sources that are used in place of files
    :param imported: names of modules that an earlier call imported. They are imported again, and the set is updated
    :raises NoSuchAttribute: if the module does not have it
    :raises Exception: whatever the module raises. Then all modules are as they were before
    """
    before = {name: sys.modules.pop(name) for name in imported if name in sys.modules}
    known = set(sys.modules)
    try:
        with _no_byte_code(), _found_first(kept):
            importlib.invalidate_caches()
            value = _attribute(importlib.import_module(module_name), attribute)
    except BaseException:
        for name in [name for name in set(sys.modules) - known if _own_path(sys.modules[name])]:
            del sys.modules[name]
        sys.modules.update(before)
        raise
    new = {name for name in set(sys.modules) - known if _own_path(sys.modules[name])}
    imported.clear()
    imported |= new
    # If something else had imported a module before, it is not imported again. But its text belongs to the rules.
    sources = {name: kept[name] if name in kept else _source(sys.modules[name]) for name in sorted(new | {module_name})}
    return value, {name: source for name, source in sources.items() if source is not None}


def _attribute(module: ModuleType, attribute: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise NoSuchAttribute(f"module {module.__name__} has no attribute {attribute}") from error


@contextmanager
def _found_first(kept: Mapping[str, ModuleSource]) -> Iterator[None]:
    finder = _KeptModules(kept)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def _no_byte_code() -> Iterator[None]:
    # Python takes byte code for up to date if the source has the same size and was changed in the same second.
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _source(module: ModuleType) -> ModuleSource | None:
    path = _own_path(module)
    if path is None:
        return None
    return ModuleSource(path.read_text(encoding="utf-8"), str(path), is_package=hasattr(module, "__path__"))


def _own_path(module: ModuleType) -> Path | None:
    """Return the file of a module that is the operator's own, or None for any other module."""
    spec = getattr(module, "__spec__", None)
    origin = spec.origin if spec is not None and spec.has_location else getattr(module, "__file__", None)
    if not origin or not str(origin).endswith(".py"):
        return None
    path = Path(origin)
    return None if any(path.is_relative_to(library) for library in _libraries()) else path


@cache
def _libraries() -> list[str]:
    """Return the directories of modules that are not the operator's own."""
    return [*site.getsitepackages(), sysconfig.get_path("stdlib"), str(_ANTENNA)]
