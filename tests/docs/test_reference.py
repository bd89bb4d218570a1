# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The reference pages are complete.

They have all options, metrics and reasons of the code, and no page names an option that does not exist.
"""

import ast
import html
import importlib
import logging
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import antenna
from antenna.app import AntennaApp
from antenna.config import REMOVED_OPTIONS, AppConfig, build_config, parse_class
from antenna.ops.registry import load_registry
from antenna.refusal import Reason
from antenna.throttler import ACCEPT_ALL, MOZILLA_PRODUCT_PACKAGENAMES, MOZILLA_PRODUCTS, MOZILLA_RULES, Rule
from antenna.viewer.supersearch.fields import FIELDS, MEANINGS, OPERATORS
from tests.docs.conftest import DOCS
from tests.support.options import COMPONENTS, OPTION_NAMES, OPTIONS
from tests.support.server import PROJECT_ROOT

# Google's libraries read these, or the programs in bin/ do.
OTHER_VARIABLES = {"GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"}


def components() -> Iterator[str]:
    """Names of all classes of the collector that declare options, without those that only change defaults."""
    for module in pkgutil.walk_packages(antenna.__path__, "antenna."):
        # These two start the collector; the viewer, a program of its own, has its options on its own page.
        if module.name not in {"antenna.wsgi", "antenna.server.conf"} and "antenna.viewer" not in module.name:
            for name, value in vars(importlib.import_module(module.name)).items():
                if not isinstance(value, type) or value.__module__ != module.name or "Config" not in vars(value):
                    continue
                if not any("Config" in vars(base) for base in value.__bases__):
                    yield f"{module.name}.{name}"


def text_of(page: Path) -> str:
    """Return the text of a built page, without navigation and markup."""
    _, _, content = page.read_text(encoding="utf-8").partition("<article")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", content.partition("</article>")[0])))


def test_every_component_with_options_is_on_the_page() -> None:
    # A component may be documented by a name that its package gives it: antenna.throttler.Throttler.
    assert sorted(parse_class(name).__qualname__ for name, *_ in COMPONENTS) == sorted(
        name.rpartition(".")[2] for name in components()
    )


def test_every_package_and_module_has_its_place_in_the_layout() -> None:
    layout = (DOCS / "development.rst").read_text(encoding="utf-8").partition("\nLayout\n")[2].partition("\n\n\n")[0]
    named = set(re.findall(r"``antenna/(\w+(?:\.py|/))``", layout))
    modules = {path.name for path in (PROJECT_ROOT / "antenna").glob("*.py")} - {"__init__.py"}
    packages = {f"{path.parent.name}/" for path in (PROJECT_ROOT / "antenna").glob("*/__init__.py")}

    assert named == modules | packages


def test_every_option_is_on_the_page(pages: Path) -> None:
    text = text_of(pages / "configuration.html")
    for option in OPTIONS:
        assert f"{option.name}¶ {option.doc}" in text
        assert option.default is None or option.default in text


@pytest.mark.parametrize(
    "backends",
    [
        {"CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.crashstorage_base.NoOpCrashStorage"},
        {
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_FS_ROOT": "crashes",
            "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.fs.crashpublish.FSCrashPublish",
            "CRASHMOVER_CRASHPUBLISH_FS_ROOT": "queue",
        },
        {
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": "bucket",
            "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
            "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "project",
            "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": "topic",
        },
    ],
    ids=["nothing", "file system", "Google Cloud"],
)
def test_every_option_that_a_collector_reads_has_its_name_on_the_page(
    backends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    config = build_config(backends | {"CRASHMOVER_SPOOL_DIR": str(tmp_path)})

    with caplog.at_level(logging.INFO, "antenna"):
        AntennaApp(AppConfig(config), config)

    read = set(re.findall(r"configuration: ([A-Z0-9_]+)=", caplog.text))
    assert len(read) > 30
    assert read <= OPTION_NAMES


def test_every_metric_is_on_the_page(pages: Path) -> None:
    text = text_of(pages / "metrics.html")
    for name, metric in load_registry().items():
        assert f"{name}¶ {metric['type']}. {metric['description'].replace('`', '')}" in text
        for tag in metric.get("tags", {}):
            assert f"Tag {tag}:" in text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_on_the_page(reason: Reason, pages: Path) -> None:
    text = text_of(pages / "reasons.html")
    below_status = text.split(f" {reason.status}: ")[-1]
    assert f"{reason.answer}¶ {reason.doc}" in below_status


@pytest.mark.parametrize("rules", [MOZILLA_RULES, ACCEPT_ALL])
def test_every_rule_is_on_the_page_in_order(rules: list[Rule], pages: Path) -> None:
    text = text_of(pages / "throttling.html")
    cells = [f" {rule.rule_name} {'' if rule.key == '*' else f'{rule.key}: '}" for rule in rules]
    positions = [text.index(cell) for cell in cells]
    assert positions == sorted(positions)


@pytest.mark.parametrize("rule", MOZILLA_RULES, ids=lambda rule: rule.rule_name)
def test_every_condition_says_when_it_matches(rule: Rule) -> None:
    assert (rule.condition.__doc__ or "").partition("\n")[0].endswith(".")


def test_products_and_packages_are_on_the_page(pages: Path) -> None:
    text = text_of(pages / "throttling.html")
    for name in (*MOZILLA_PRODUCTS, *(name for names in MOZILLA_PRODUCT_PACKAGENAMES.values() for name in names)):
        assert name in text


def test_every_page_is_in_the_contents(pages: Path) -> None:
    index = (pages / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.rst"):
        assert page.stem == "index" or f'href="{page.stem}.html"' in index


def test_every_program_is_on_the_page(pages: Path) -> None:
    text = text_of(pages / "tools.html")
    for path in (PROJECT_ROOT / "bin").iterdir():
        # The image starts these two.
        if path.suffix in {".py", ".sh"} and path.name not in {"entrypoint.sh", "healthcheck.py"}:
            assert path.name.startswith("_") or f"bin/{path.name}" in text


def test_every_option_of_a_program_is_on_the_page(pages: Path) -> None:
    text = text_of(pages / "tools.html")
    for path in (PROJECT_ROOT / "bin").glob("*.py"):
        if f"bin/{path.name}" in text:
            for option in re.findall(r'add_argument\(\s*"(--[a-z-]+)"', path.read_text(encoding="utf-8")):
                assert option in text, f"{path.name} {option}"


def test_every_port_of_the_local_environment_is_on_the_page(pages: Path) -> None:
    text = text_of(pages / "local_environment.html")
    compose = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ports = re.findall(r"\$\{([A-Z]+_PORT):-([0-9]+)\}", compose)
    assert len(ports) > 5
    for name, port in ports:
        assert f" {port} {name} " in text


def test_every_event_of_the_log_is_on_the_page() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT_ROOT / "antenna").rglob("*.py"))
    events = set(re.findall(r'"event": "(\w+)"', code))
    listed = (DOCS / "logs.rst").read_text(encoding="utf-8").partition("* - ``event``")[2].partition("* - ``")[0]

    assert len(events) > 15
    assert events <= set(re.findall(r"``(\w+)``", listed))


@cache
def constants() -> str:
    """Every text in the code of the collector, one a line. Formats have gaps for their values."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT_ROOT / "antenna").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def log_lines() -> list[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.rst")))
    return sorted(set(re.findall(r":log:`([^`]*)`", text)))


@pytest.mark.parametrize("line", log_lines())
def test_log_lines_are_what_the_collector_logs(line: str) -> None:
    # In the gaps are names of backends, crashes, results and reasons, and errors that were caught.
    gaps = r"\.\.\.|: |<crash id>|^(?:storage|publish|save)|FAKEACCEPT|malformed_too_large|\[Errno"
    texts = constants()
    for piece in re.split(gaps, line):
        assert piece.strip(" :;]") in texts


TEXTS = [PROJECT_ROOT / "README.rst", *DOCS.rglob("*.rst"), *DOCS.glob("*.inc")]
TEXTS += (PROJECT_ROOT / "docker").rglob("*.yaml")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_text_names_an_option_that_does_not_exist(path: Path) -> None:
    named = set(re.findall(r"\b(?:BREAKPAD|CRASHMOVER|GUNICORN|STATSD|SECRET)_[A-Z0-9_]+\b", path.read_text("utf-8")))
    removed = REMOVED_OPTIONS.keys() if path.name == "changelog.rst" else set()
    assert named <= OPTION_NAMES | OTHER_VARIABLES | removed


def test_the_page_on_searches_has_every_field_and_operator(pages: Path) -> None:
    text = text_of(pages / "super_search.html")
    for field in FIELDS:
        assert f" {field.name} {field.kind.value}" in text
        assert all(f" {name}" in text for name in field.annotations)
    operators = {operator for of in OPERATORS.values() for operator in of} | {"__null__", "__true__"}
    assert operators == set(MEANINGS)
    assert all(f" {operator} " in text for operator in operators if operator)
