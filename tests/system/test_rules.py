# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""If rules change or break while crashes come in, no crash is lost."""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.collector import Collector
from tests.support.intervals import shortened
from tests.support.programs import children_of
from tests.support.reports import annotation
from tests.system.conftest import StartCollector, running_on_files

WORKERS = 2
# Seconds in which all workers are promised to have new rules. They poll more often here, so that no test waits for it.
RELOAD = 10
POLL = {"antenna.throttler.reload.POLL_SECONDS": 0.15}
# Seconds that workers may take to start on a busy machine.
START = 30
RULES = ("old", "new", "turned", "renamed")

FILE = """
[[rules]]
name = "{rule}"
key = "product"
equals = "Unwanted"
result = "REJECT"

[[rules]]
name = "rest"
result = "ACCEPT"
"""
BROKEN_FILE = FILE.format(rule="new") + "results = 5\n"

MODULE = """
from {rule}_names import UNWANTED
from antenna.throttler import ACCEPT, REJECT, Rule, always_match, product_of
RULES = [
    Rule("{rule}", "*", lambda throttler, crash: product_of(crash) in UNWANTED, REJECT),
    Rule("rest", "*", always_match, ACCEPT),
]
"""
NAMES = "UNWANTED = ['Unwanted']\n"
BROKEN_MODULE = "import no_such_module\n"


class Rules:
    """The rules of a collector, as a rules file or a Python module."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.is_file = kind == "file"
        self.path = directory / ("rules.toml" if self.is_file else "team_rules.py")
        self.options = {
            "GUNICORN_WORKERS": str(WORKERS),
            "BREAKPAD_THROTTLER_PRODUCTS": "" if self.is_file else "antenna.throttler.ALL_PRODUCTS",
            "BREAKPAD_THROTTLER_RULES": str(self.path) if self.is_file else "team_rules.RULES",
            **shortened(POLL, directory),
        }
        for rule in RULES:
            (directory / f"{rule}_names.py").write_text(NAMES)
        self.write("old")

    def text(self, rule: str) -> str:
        return (FILE if self.is_file else MODULE).format(rule=rule)

    def write(self, rule: str) -> None:
        self.path.write_text(self.text(rule))

    def break_it(self) -> None:
        self.path.write_text(BROKEN_FILE if self.is_file else BROKEN_MODULE)


def make_rules(kind: str, directory: Path) -> Rules:
    directory.mkdir()
    return Rules(kind, directory)


@pytest.fixture(scope="module", params=["file", "module"])
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The rules of ``collector``."""
    return make_rules(request.param, tmp_path_factory.mktemp("rules") / "rules")


@pytest.fixture(scope="module")
def shared_collector(rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    # A ConfigMap is mounted in this way: the file is a link into a directory that is itself a link, which is replaced.
    directory = rules.path.parent
    for name in ("..first", "..second"):
        (directory / name).mkdir()
    rules.path.rename(directory / "..first" / rules.path.name)
    (directory / "..data").symlink_to("..first")
    rules.path.symlink_to(Path("..data") / rules.path.name)
    with running_on_files(tmp_path_factory.mktemp("collector"), rules.options) as collector:
        yield collector


@pytest.fixture
def collector(shared_collector: Collector, rules: Rules) -> Collector:
    """A collector whose workers decide by the rule ``old``."""
    rules.write("old")
    wait_until(lambda: all_workers_decide_by(shared_collector, "old"))
    return shared_collector


def rule_that_rejects(collector: Collector) -> str:
    return collector.submit_parts(annotation("ProductName", "Unwanted")).text.removeprefix("Discarded=rule_")


def wait_until(condition: Callable[[], bool], seconds: float = RELOAD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def all_workers_decide_by(collector: Collector, rule: str) -> bool:
    """Whether this rule decides so many crashes in a row that each worker has had some of them."""
    return all(rule_that_rejects(collector) == rule for _ in range(12))


def break_rules(rules: Rules, collector: Collector, workers: int = WORKERS) -> None:
    """Break the rules, and wait until all workers have seen it."""
    before = collector.server.logs().count("the rules are broken")
    rules.break_it()
    wait_until(lambda: collector.server.logs().count("the rules are broken") >= before + workers)


def running_children_of(pid: int) -> set[int]:
    running = set()
    for child in children_of(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
                running.add(child)
    return running


def workers(collector: Collector) -> set[int]:
    return running_children_of(collector.server.pid)


def turn_the_link(rules: Rules) -> None:
    data = rules.path.with_name("..data_new")
    data.symlink_to("..second")
    (rules.path.with_name("..second") / rules.path.name).write_text(rules.text("turned"))
    data.rename(rules.path.with_name("..data"))


def rename(rules: Rules) -> None:
    beside = rules.path.with_name("beside")
    beside.write_text(rules.text("renamed"))
    beside.rename(rules.path)


def test_all_workers_have_new_rules_soon(collector: Collector, rules: Rules) -> None:
    rules.write("new")
    wait_until(lambda: all_workers_decide_by(collector, "new"))
    turn_the_link(rules)
    wait_until(lambda: all_workers_decide_by(collector, "turned"))
    rename(rules)
    wait_until(lambda: all_workers_decide_by(collector, "renamed"))


def test_broken_rules_lose_nothing_however_a_worker_starts(collector: Collector, rules: Rules) -> None:
    break_rules(rules, collector)
    assert all_workers_decide_by(collector, "old")
    heartbeat = requests.get(f"{collector.server.url}/__heartbeat__", timeout=10)
    assert (heartbeat.status_code, heartbeat.json()["checks"]["rules"]["status"]) == (200, "warning")
    assert "BREAKPAD_THROTTLER_RULES" in heartbeat.json()["checks"]["rules"]["message"]

    before = workers(collector)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(workers(collector) - before) == WORKERS, START)
    assert all_workers_decide_by(collector, "old")

    before = workers(collector)
    os.kill(collector.server.pid, signal.SIGHUP)
    wait_until(lambda: len(workers(collector)) == WORKERS and not workers(collector) & before, START)
    assert all_workers_decide_by(collector, "old")
    collector.assert_saved(collector.submit_parts(annotation("ProductName", "Wanted")))

    rules.write("new")
    wait_until(lambda: all_workers_decide_by(collector, "new"))
    assert "the rules are good again" in collector.server.logs()
    heartbeat = requests.get(f"{collector.server.url}/__heartbeat__", timeout=10)
    assert heartbeat.json()["checks"]["rules"]["status"] == "ok"
    assert heartbeat.json()["rules"]["name"] == rules.options["BREAKPAD_THROTTLER_RULES"]
    if rules.is_file:
        assert heartbeat.json()["rules"]["sha256"] == hashlib.sha256(rules.path.read_bytes()).hexdigest()


def test_broken_rules_and_workers_that_are_replaced_after_some_requests(
    start_local_collector: StartCollector, tmp_path: Path
) -> None:
    rules = make_rules("module", tmp_path / "rules")
    collector = start_local_collector(**rules.options | {"GUNICORN_WORKERS": "1", "GUNICORN_MAX_REQUESTS": "20"})
    break_rules(rules, collector, workers=1)

    for _ in range(1000):
        assert rule_that_rejects(collector) == "old"
        if "Autorestarting worker" in collector.server.logs():
            break
    assert all_workers_decide_by(collector, "old")
    assert collector.server.is_running
    assert "Autorestarting worker" in collector.server.logs()


# The last test of the shared collector, since it ends its master. It runs with one kind of rules: the new master passes
# on what the old workers know as a worker does that is replaced, which the test above shows for both kinds.
@pytest.mark.parametrize("rules", ["module"], indirect=True, scope="module")
def test_broken_rules_and_another_master(collector: Collector, rules: Rules) -> None:
    break_rules(rules, collector)
    old_workers = workers(collector)

    os.kill(collector.server.pid, signal.SIGUSR2)
    wait_until(lambda: len(workers(collector)) == WORKERS + 1, START)
    (new_master,) = workers(collector) - old_workers
    try:
        wait_until(lambda: len(running_children_of(new_master)) == WORKERS, START)
        os.kill(collector.server.pid, signal.SIGTERM)
        wait_until(lambda: not collector.server.is_running, START)

        assert all_workers_decide_by(collector, "old")
    finally:
        os.kill(new_master, signal.SIGKILL)


def test_quota_is_one_of_the_whole_instance(start_local_collector: StartCollector, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        'products = ["Game", "Launcher"]\n[quota]\nper_minute = 20\notherwise = "REJECT"\n'
        '[[rules]]\nname = "rest"\nresult = "ACCEPT"\n'
    )
    collector = start_local_collector(
        GUNICORN_WORKERS="2", BREAKPAD_THROTTLER_RULES=str(path), BREAKPAD_THROTTLER_PRODUCTS=""
    )

    def kept(product: str) -> int:
        answers = [collector.submit_parts(annotation("ProductName", product)).text for _ in range(25)]
        assert {answer for answer in answers if not answer.startswith("CrashID=")} == {"Discarded=rule_over_quota"}
        return sum(answer.startswith("CrashID=") for answer in answers)

    assert kept("Game") == 20
    for pid in workers(collector):
        os.kill(pid, signal.SIGKILL)
    collector.server.wait_until(collector.server.is_serving)
    assert collector.submit_parts(annotation("prod", "Game")).text == "Discarded=rule_over_quota"
    assert kept("Launcher") == 20
    assert kept("Anything") == 20
    assert collector.submit_parts(annotation("prod", "Something else")).text == "Discarded=rule_over_quota"
