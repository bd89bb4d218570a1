# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The layout of the code: which part may import which, and which part may import a library.

``docs/development.rst`` has the drawing. A part is a package of ``antenna/``, or a module beside them.
"""

import ast
import functools
import graphlib
import re
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: From the top to the bottom. A part imports parts of lower layers; those of one layer do not import each other.
LAYERS = (
    {"wsgi"},
    {"app"},
    {"breakpad_resource", "health_resource", "metrics_resource", "viewer"},
    {"payload", "throttler", "crashmover", "server", "upload_tokens"},
    {"ext", "spool", "symbols"},
    {"crash", "ops", "minidump"},
    {"backend", "chunks", "files", "json_size", "limits", "refusal", "shared_file"},
    {"hub", "fast"},
    {"config"},
)

#: Parts that import no other part at all: they can be read, and used, without the rest.
ALONE = {"config", "fast", "minidump"}

#: Parts that the collector works without, and who may import them.
USED_BY = {"viewer": set[str](), "symbols": {"viewer"}, "minidump": {"viewer", "symbols"}}

#: The parts that know a library, by the name that is imported.
LIBRARIES = {
    "gunicorn": {"server"},
    "everett": {"config"},
    "google": {"ext", "viewer"},
    "prometheus_client": {"ops"},
    "symbolic": {"symbols"},
    "siggen": {"symbols"},
    "jinja2": {"viewer"},
}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "antenna").parts[0].removesuffix(".py")


@functools.cache
def imports() -> tuple[tuple[str, str, str], ...]:
    """Each import in ``antenna/``: its place, the part that it is in, and the module that it names."""
    return tuple(_imports())


@functools.cache
def statements(path: Path) -> tuple[ast.AST, ...]:
    """Each statement of a file, also those inside other statements. An import is never inside an expression."""
    return tuple(_statements_in(ast.parse(path.read_text(encoding="utf-8"))))


def _statements_in(node: ast.AST) -> Iterator[ast.AST]:
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, field, ()):
            yield statement
            yield from _statements_in(statement)


def _imports() -> Iterator[tuple[str, str, str]]:
    for path in sorted((ROOT / "antenna").rglob("*.py")):
        part = part_of(path)
        if part == "__init__":
            continue
        for node in statements(path):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((place, part, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module == "antenna":
                yield from ((place, part, f"antenna.{name.name}") for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{place}: imports are absolute"
                yield place, part, node.module or ""


def arrows() -> Iterator[tuple[str, str, str]]:
    """Each import of another part: its place, the part that imports, and the part that is imported."""
    for place, part, module in imports():
        package, _, rest = module.partition(".")
        imported = rest.partition(".")[0]
        if package == "antenna" and imported not in ("", part):
            yield place, part, imported


FLOORS = {part: floor for floor, parts in enumerate(LAYERS) for part in parts}


def test_the_drawing_shows_the_layers() -> None:
    text = (ROOT / "docs" / "development.rst").read_text(encoding="utf-8")
    drawing = text.partition(".. code-block:: text\n\n")[2].partition("\n\n")[0]
    lines = [set(re.split(r" {3,}", line.strip())[0].split()) for line in drawing.splitlines()]

    assert lines == [parts - set(USED_BY) for parts in LAYERS]


def test_every_part_has_its_layer() -> None:
    parts = {part_of(path) for path in (ROOT / "antenna").rglob("*.py")} - {"__init__"}

    assert parts <= set(FLOORS)


def test_imports_lead_down() -> None:
    assert [
        f"{place}: {part} imports {other}" for place, part, other in arrows() if FLOORS[other] <= FLOORS[part]
    ] == []


@pytest.mark.parametrize("part", sorted(ALONE))
def test_some_parts_stand_alone(part: str) -> None:
    assert [place for place, importing, _ in arrows() if importing == part] == []


@pytest.mark.parametrize("part", sorted(USED_BY))
def test_the_collector_works_without(part: str) -> None:
    users = {importing for _, importing, imported in arrows() if imported == part}

    assert users <= USED_BY[part]


def test_a_package_is_imported_for_its_public_names() -> None:
    """Other parts import from a package with ``__all__`` only the names in it.

    They import the modules of other packages. ``server`` and ``ops`` are needed before gevent patches the standard
    library.
    """
    packages = (ROOT / "antenna").glob("*/__init__.py")
    closed = {path.parent.name for path in packages if "__all__" in path.read_text(encoding="utf-8")}

    assert [
        f"{place}: {part} imports {module}"
        for place, part, module in imports()
        for package, _, inner in [module.removeprefix("antenna.").partition(".")]
        if inner and package in closed - {part}
    ] == []


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_is_known_where_it_belongs(library: str) -> None:
    users = {part for _, part, module in imports() if module.partition(".")[0] == library}

    assert users <= LIBRARIES[library]


@pytest.mark.parametrize("directory", ["antenna", "bin"])
def test_no_modules_import_each_other(directory: str) -> None:
    """No module is imported by one that it imports itself, directly or by way of others."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / directory).rglob("*.py")
    }
    imported = {module: set(_imported_modules(path, modules)) & set(modules) for module, path in modules.items()}

    # Raises CycleError, with the modules in it.
    graphlib.TopologicalSorter(imported).prepare()


def _imported_modules(path: Path, modules: Container[str]) -> Iterator[str]:
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name.name}" for name in node.names]
            yield from (name if name in modules else node.module or "" for name in names)
