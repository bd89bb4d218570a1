# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""While the files are broken, the last good rules go on deciding. Only a first start refuses broken files."""

import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from markus.testing import MetricsMock

from antenna.config import ConfigurationError, build_config
from antenna.shared_file import create_shared_file, find_shared_file
from antenna.throttler import Throttler
from antenna.throttler.last_good import LastGood
from antenna.throttler.python_modules import ModuleSource
from antenna.throttler.reload import RulesLoader
from antenna.throttler.sources import Texts

FILE = '[[rules]]\nname = "{}"\nresult = "ACCEPT"\n'
MODULE = """
import own_helper
from antenna.throttler import ACCEPT, Rule, always_match
RULES = [Rule(own_helper.NAME + "{}", "*", always_match, ACCEPT)]
"""


class Source:
    """A rules file, or a Python module with a helper."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.path = directory / ("rules.toml" if kind == "file" else "own_rules.py")
        self.value = str(self.path) if kind == "file" else "own_rules.RULES"
        (directory / "own_helper.py").write_text('NAME = ""')
        self.write("first")

    def write(self, rule: str) -> None:
        self.path.write_text((FILE if self.kind == "file" else MODULE).format(rule))

    def break_it(self) -> None:
        self.path.write_text("name =")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory from which modules are imported. After the test, its modules are forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.fixture(params=["file", "module"])
def source(request: pytest.FixtureRequest, directory: Path) -> Source:
    return Source(request.param, directory)


@pytest.fixture
def module(directory: Path) -> Source:
    return Source("module", directory)


@pytest.fixture
def last_good() -> LastGood:
    environ: dict[str, str] = {}
    create_shared_file(environ)
    return LastGood(find_shared_file(environ))


def loader_of(source: Source, last_good: LastGood) -> RulesLoader:
    """Return the loader of a worker that starts now and has imported nothing yet."""
    for name in ("own_rules", "own_helper"):
        sys.modules.pop(name, None)
    config = build_config({"BREAKPAD_THROTTLER_RULES": source.value, "BREAKPAD_THROTTLER_PRODUCTS": "Game"})
    return RulesLoader(config.with_namespace("breakpad").with_namespace("throttler").with_options(Throttler), last_good)


def names(loader: RulesLoader) -> list[str]:
    """Return the names of the rules of a worker that starts now."""
    return [rule.rule_name for rule in loader.load().rules]


def look(loader: RulesLoader, polls: int = 2) -> list[str] | None:
    """Return the new rules, or None if the old ones go on deciding."""
    for _ in range(polls):
        policy = loader.look()
        if policy is not None:
            return [rule.rule_name for rule in policy.rules]
    return None


def test_a_change_is_taken_when_it_has_been_the_same_twice(source: Source, last_good: LastGood) -> None:
    loader = loader_of(source, last_good)
    assert names(loader) == ["first"]
    assert look(loader) is None

    source.write("second")
    assert look(loader, polls=1) is None
    source.write("third")
    assert look(loader, polls=1) is None
    assert look(loader, polls=1) == ["third"]
    assert look(loader) is None


def test_a_change_of_what_a_module_imports(module: Source, last_good: LastGood) -> None:
    loader = loader_of(module, last_good)
    assert names(loader) == ["first"]

    (module.path.parent / "own_helper.py").write_text('NAME = "my_"')

    assert look(loader) == ["my_first"]


def test_broken_rules_are_refused_and_said_once(
    source: Source, last_good: LastGood, caplog: pytest.LogCaptureFixture, metricsmock: MetricsMock
) -> None:
    loader = loader_of(source, last_good)
    names(loader)

    source.break_it()
    assert look(loader, polls=20) is None

    assert "BREAKPAD_THROTTLER_RULES" in loader.problem
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"the rules are broken, the last good ones go on deciding: {loader.problem}"]
    metricsmock.assert_incr_once("throttle.rules_loaded", tags=["outcome:refused"])

    source.write("second")
    assert look(loader) == ["second"]
    assert loader.problem == ""


def test_rules_that_are_as_they_were(source: Source, last_good: LastGood) -> None:
    loader = loader_of(source, last_good)
    names(loader)

    source.break_it()
    look(loader)
    source.write("first")

    assert look(loader) is None
    assert loader.problem == ""


def test_a_file_that_is_gone_for_a_while(source: Source, last_good: LastGood) -> None:
    loader = loader_of(source, last_good)
    names(loader)

    source.path.unlink()
    assert look(loader) is None
    assert loader.problem
    source.write("second")

    assert look(loader) == ["second"]


def test_rules_that_are_good_again_without_a_change_of_what_was_read(module: Source, last_good: LastGood) -> None:
    loader = loader_of(module, last_good)
    names(loader)

    module.path.write_text("import own_second_helper\n" + MODULE.format("second"))
    assert look(loader) is None
    assert loader.problem
    (module.path.parent / "own_second_helper.py").write_text("")

    assert look(loader, polls=6) == ["second"]


def test_a_worker_that_starts_meanwhile_has_the_last_good_rules(
    source: Source, last_good: LastGood, caplog: pytest.LogCaptureFixture
) -> None:
    names(loader_of(source, last_good))
    source.break_it()

    assert names(loader_of(source, last_good)) == ["first"]
    loader = loader_of(source, last_good)
    assert names(loader) == ["first"]
    assert loader.problem
    assert "the last good ones go on deciding" in caplog.text

    source.write("second")
    assert look(loader) == ["second"]
    source.break_it()
    assert names(loader_of(source, last_good)) == ["second"]


def test_the_helper_of_a_module_is_kept_as_well(module: Source, last_good: LastGood) -> None:
    names(loader_of(module, last_good))

    (module.path.parent / "own_helper.py").unlink()

    assert names(loader_of(module, last_good)) == ["first"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\nraise RuntimeError('secret')", "RuntimeError at own_rules.py:2"),
        ("class Away(Exception):\n    public_reason = 'no rules'\nraise Away('secret')", "own_rules.py:3: no rules"),
        ("class Odd(Exception):\n    public_reason = 7\nraise Odd('secret')", "Odd at own_rules.py:3"),
        ("secret = 1\nx = = secret", "SyntaxError at own_rules.py:2"),
        ("raise SyntaxError('secret')", "SyntaxError at own_rules.py:1"),
        ("import not_there", "ModuleNotFoundError at own_rules.py:1: there is no module not_there"),
        ("import own_helper; own_helper.secret", "AttributeError at own_rules.py:1"),
        ("import json; json.loads('secret')", "JSONDecodeError at decoder.py:"),
        ("SECRET = 1", "module own_rules has no attribute RULES"),
        ("from antenna.throttler import Rule; Rule('r', '*', 'secret', 0)", "rule r: its condition cannot be called"),
        ("from antenna.throttler import Rule; Rule('r', '*', print, 'secret')", "rule r: its result is neither"),
        ("raise SystemExit('secret')", "SystemExit at own_rules.py:1"),
    ],
)
def test_error_of_a_module_is_told_without_its_message(
    module: Source, last_good: LastGood, text: str, problem: str
) -> None:
    loader = loader_of(module, last_good)
    names(loader)

    module.path.write_text(text)

    assert look(loader) is None
    assert problem in loader.problem
    assert "secret" not in loader.problem


def test_a_module_that_ends_the_process(module: Source, last_good: LastGood) -> None:
    loader = loader_of(module, last_good)
    names(loader)

    module.path.write_text("raise SystemExit(5)")

    assert look(loader) is None
    assert "SystemExit" in loader.problem


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "while True:\n try: sum(range(1000))\n except Exception: pass",
        "try:\n while True: pass\nexcept: pass\nwhile True: pass",
    ],
    ids=["computes", "waits", "swallows exceptions", "swallows everything once"],
)
def test_a_module_whose_import_does_not_end(
    text: str, module: Source, last_good: LastGood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antenna.throttler.reload._LONGEST_IMPORT", 0.2)
    loader = loader_of(module, last_good)
    names(loader)
    before = signal.getsignal(signal.SIGALRM)

    module.path.write_text(text)
    assert look(loader) is None

    assert "the import of own_rules takes longer than 0.2 s" in loader.problem
    assert (signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)) == ((0.0, 0.0), before)
    # Every try keeps the others in the worker waiting, so the next one is not soon.
    start = time.monotonic()
    assert look(loader, polls=6) is None
    assert time.monotonic() - start < 0.2
    module.write("second")
    assert look(loader) == ["second"]


def test_the_first_start_refuses_broken_rules(source: Source, last_good: LastGood) -> None:
    source.break_it()

    with pytest.raises(ConfigurationError):
        names(loader_of(source, last_good))


def test_a_first_start_with_other_options_than_before(source: Source, last_good: LastGood) -> None:
    last_good.keep(Texts({"/another/file.toml": FILE.format("other")}))
    source.break_it()

    with pytest.raises(ConfigurationError):
        names(loader_of(source, last_good))


def test_modules_that_were_there_before_stay_where_an_import_fails(module: Source, last_good: LastGood) -> None:
    loader = loader_of(module, last_good)
    names(loader)
    before = sys.modules["own_rules"]

    module.break_it()
    look(loader)

    assert sys.modules["own_rules"] is before


@pytest.mark.parametrize("is_shared", [True, False])
def test_texts_that_are_kept(is_shared: bool) -> None:
    environ: dict[str, str] = {}
    create_shared_file(environ)
    last_good = LastGood(find_shared_file(environ) if is_shared else None)
    assert last_good.texts() is None

    for text in ("first", "\N{FOX FACE}\ud800\0", "x" * 3_000_000, "short"):
        last_good.keep(Texts({"a.toml": text}, {"own": ModuleSource(text, "/own.py", is_package=False)}))
        assert last_good.texts() == Texts({"a.toml": text}, {"own": ModuleSource(text, "/own.py", is_package=False)})

    last_good.keep(Texts({"a.toml": "x" * 9_000_000}))
    assert last_good.texts() == Texts({"a.toml": "short"}, {"own": ModuleSource("short", "/own.py", is_package=False)})
    if is_shared:
        descriptor = find_shared_file(environ)
        assert descriptor is not None
        os.pwrite(descriptor, b"damage", 1024 * 1024 + 60)
        assert last_good.texts() is None
