# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""If rules change or break while crashes come in, no crash is lost."""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.collector import Collector
from tests.support.reports import annotation
from tests.system.conftest import StartCollector

WORKERS = 2
# Seconds in which all workers are promised to have new rules.
RELOAD = 10

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
            "PYTHONPATH": str(directory),
        }
        for rule in ("old", "new"):
            (directory / f"{rule}_names.py").write_text(NAMES)
        self.write("old")

    def write(self, rule: str) -> None:
        self.path.write_text((FILE if self.is_file else MODULE).format(rule=rule))

    def break_it(self) -> None:
        self.path.write_text(BROKEN_FILE if self.is_file else BROKEN_MODULE)


@pytest.fixture(params=["file", "module"])
def rules(request: pytest.FixtureRequest, tmp_path: Path) -> Rules:
    directory = tmp_path / "rules"
    directory.mkdir()
    return Rules(request.param, directory)


@pytest.fixture
def collector(start_local_collector: StartCollector, rules: Rules) -> Collector:
    return start_local_collector(**rules.options)


def rule_that_rejects(collector: Collector) -> str:
    return collector.submit_parts(annotation("ProductName", "Unwanted")).text.removeprefix("Discarded=rule_")


def wait_until(condition: Callable[[], bool], seconds: float = RELOAD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def all_workers_decide_by(collector: Collector, rule: str) -> bool:
    """Whether this rule decides so many crashes in a row that each worker has had some of them."""
    return all(rule_that_rejects(collector) == rule for _ in range(30))


def refusals(collector: Collector) -> int:
    return collector.server.logs().count("the rules are broken")


def children_of(pid: int) -> set[int]:
    running = set()
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                running.add(child.pid)
    return running


def workers(collector: Collector) -> set[int]:
    return children_of(collector.server.pid)


def write(rules: Rules) -> None:
    rules.write("new")


def rename(rules: Rules) -> None:
    beside = rules.path.with_name("beside")
    old, rules.path = rules.path, beside
    rules.write("new")
    rules.path = old
    beside.rename(rules.path)


def turn_the_link(rules: Rules) -> None:
    # A ConfigMap is mounted in this way: the file is a link into a directory that is itself a link, which is replaced.
    data = rules.path.parent / "..data_new"
    (rules.path.parent / "..second").mkdir()
    data.symlink_to("..second")
    link, rules.path = rules.path, rules.path.parent / "..second" / rules.path.name
    rules.write("new")
    rules.path = link
    data.rename(rules.path.parent / "..data")


@pytest.mark.parametrize("change", [write, rename, turn_the_link])
def test_all_workers_have_new_rules_soon(
    start_local_collector: StartCollector, rules: Rules, change: Callable[[Rules], None]
) -> None:
    if change is turn_the_link:
        (rules.path.parent / "..first").mkdir()
        rules.path.rename(rules.path.parent / "..first" / rules.path.name)
        (rules.path.parent / "..data").symlink_to("..first")
        rules.path.symlink_to(Path("..data") / rules.path.name)
    collector = start_local_collector(**rules.options)
    assert all_workers_decide_by(collector, "old")

    change(rules)

    wait_until(lambda: all_workers_decide_by(collector, "new"))


def test_broken_rules_lose_nothing_however_a_worker_starts(collector: Collector, rules: Rules) -> None:
    rules.break_it()
    wait_until(lambda: refusals(collector) >= WORKERS)
    assert all_workers_decide_by(collector, "old")
    heartbeat = requests.get(f"{collector.server.url}/__heartbeat__", timeout=10)
    assert (heartbeat.status_code, heartbeat.json()["checks"]["rules"]["status"]) == (200, "warning")
    assert "BREAKPAD_THROTTLER_RULES" in heartbeat.json()["checks"]["rules"]["message"]

    for pid in workers(collector):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: len(workers(collector) - {pid}) == WORKERS)  # type: ignore[misc]
        assert all_workers_decide_by(collector, "old")

    before = workers(collector)
    os.kill(collector.server.pid, signal.SIGHUP)
    wait_until(lambda: len(workers(collector)) == WORKERS and not workers(collector) & before)
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
    start_local_collector: StartCollector, rules: Rules
) -> None:
    collector = start_local_collector(**rules.options, GUNICORN_MAX_REQUESTS="20")
    rules.break_it()
    wait_until(lambda: refusals(collector) >= WORKERS)

    assert all(rule_that_rejects(collector) == "old" for _ in range(150))
    assert collector.server.is_running
    assert collector.server.logs().count("Autorestarting worker") >= WORKERS


def test_broken_rules_and_another_master(collector: Collector, rules: Rules) -> None:
    rules.break_it()
    wait_until(lambda: refusals(collector) >= WORKERS)
    old_workers = workers(collector)

    os.kill(collector.server.pid, signal.SIGUSR2)
    wait_until(lambda: len(workers(collector)) == WORKERS + 1, 20)
    (new_master,) = workers(collector) - old_workers
    try:
        wait_until(lambda: len(children_of(new_master)) == WORKERS, 20)
        os.kill(collector.server.pid, signal.SIGTERM)
        wait_until(lambda: not collector.server.is_running, 20)

        assert all_workers_decide_by(collector, "old")
    finally:
        os.kill(new_master, signal.SIGKILL)


def test_broken_rules_at_the_first_start(start_local_collector: StartCollector, rules: Rules) -> None:
    rules.break_it()

    with pytest.raises(AssertionError, match="ended with exit code 3"):
        start_local_collector(**rules.options)


def test_quota_is_one_of_the_whole_instance(start_local_collector: StartCollector, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        'products = ["Game", "Launcher"]\n[quota]\nper_minute = 50\notherwise = "REJECT"\n'
        '[[rules]]\nname = "rest"\nresult = "ACCEPT"\n'
    )
    collector = start_local_collector(
        GUNICORN_WORKERS="2", BREAKPAD_THROTTLER_RULES=str(path), BREAKPAD_THROTTLER_PRODUCTS=""
    )

    def kept(product: str) -> int:
        answers = [collector.submit_parts(annotation("ProductName", product)).text for _ in range(100)]
        assert {answer for answer in answers if not answer.startswith("CrashID=")} == {"Discarded=rule_over_quota"}
        return sum(answer.startswith("CrashID=") for answer in answers)

    assert kept("Game") == 50
    for pid in workers(collector):
        os.kill(pid, signal.SIGKILL)
    collector.server.wait_until(collector.server.is_serving)
    assert collector.submit_parts(annotation("prod", "Game")).text == "Discarded=rule_over_quota"
    assert kept("Launcher") == 50
    assert kept("Anything") == 50
    assert collector.submit_parts(annotation("prod", "Something else")).text == "Discarded=rule_over_quota"
