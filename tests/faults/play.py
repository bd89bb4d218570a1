# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Plays a schedule: a load on a collector between faulty proxies. When all faults are over, the books are checked."""

import fcntl
import itertools
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.faults.books import check_books, unfinished_crashes
from tests.faults.collector import SupervisedCollector
from tests.faults.crashes import MEMORY_PER_REPORT
from tests.faults.load import Clients, Record
from tests.faults.machine import FaultMissingError, Machine
from tests.faults.schedule import BACKEND_FAULTS, Schedule, Step
from tests.support.faulty import PASS, FaultyProxy
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import google_cloud_environment

# The directory of house_rules. With these rules a crash can ask to be deferred.
_RULES = Path(__file__).parents[1] / "support" / "rules"

# Time-outs are short, so that a schedule of some seconds has many of them.
_OPTIONS = {
    "GUNICORN_WORKERS": "2",
    "GUNICORN_GRACEFUL_TIMEOUT": "15s",
    "CRASHMOVER_SAVE_TIMEOUT": "1s",
    "CRASHMOVER_PUBLISH_TIMEOUT": "500ms",
    "CRASHMOVER_CRASHPUBLISH_TIMEOUT": "1s",
    "BREAKPAD_MEMORY_PER_REPORT": str(MEMORY_PER_REPORT),
    "BREAKPAD_THROTTLER_RULES": "house_rules.RULES",
    "PYTHONPATH": str(_RULES),
}

# Load after everything is well again, and how long it may take until nothing waits in the spool.
_CALM = 0.3
_DELIVERY_SECONDS = 60.0
_POLL = 0.05
_START_SECONDS = 40.0
# Seconds until the heartbeat has no errors, once the spool is empty.
_HEALTHY_SECONDS = 20.0
# Seconds in which files of the spool have to be closed. A worker opens some of them every second.
_OPEN_SECONDS = 10.0


@dataclass(frozen=True)
class Emulators:
    """The addresses of the emulators, in the form of STORAGE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST."""

    storage: str
    pubsub: str


@dataclass(slots=True)
class Outcome:
    """The result of a schedule. Times are in seconds."""

    seed: int
    schedule: str
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Faults of the schedule that this machine could not cause."""
    requests: Counter[str] = field(default_factory=Counter)
    promised: int = 0
    saved: int = 0
    unpromised: int = 0
    published_twice: int = 0
    """Ids that were not acknowledged within the short time-outs of ``_OPTIONS``, and were published again."""
    starts: int = 0
    delivered_after: float = 0.0
    """Seconds from the end of the last fault until the spool was empty."""
    left_in_tmp: int = 0
    """Files that kills left in the spool's tmp/. They are removed later."""
    slowest_answer: float = 0.0
    slowest_heartbeat: float = 0.0
    """Of ``/__lbheartbeat__``, if workers went on all the time."""
    logs: str = ""


class Player:
    """A collector with its backends and its machine, and a schedule."""

    def __init__(self, schedule: Schedule, emulators: Emulators, library: Path | None, outcome: Outcome) -> None:
        """``library`` comes from ``tests.faults.machine.build_library``."""
        self.outcome = outcome
        self._schedule = schedule
        self._library = library
        self._bucket = GcsBucket(emulators.storage)
        self._topic = PubSubTopic(emulators.pubsub)
        self._proxies = {
            "storage": FaultyProxy(int(emulators.storage.rpartition(":")[2])),
            "publish": FaultyProxy(int(emulators.pubsub.rpartition(":")[2])),
        }
        self._published: Counter[str] = Counter()

    def play(self) -> None:
        """Play the schedule, check everything, and record the outcome."""
        with tempfile.TemporaryDirectory(prefix="antenna-faults-") as name:
            directory = Path(name)
            with ExitStack() as stack:
                machine = stack.enter_context(Machine(directory / "disk", self._library))
                for proxy in self._proxies.values():
                    stack.enter_context(proxy)
                chance = random.Random(self._schedule.seed)
                collector = SupervisedCollector(self._environment(machine, directory), directory, chance)
                stack.callback(lambda: setattr(self.outcome, "logs", collector.logs()))
                with collector:
                    self._wait_for_workers(collector)
                    record = self._load(collector, machine)
                    self._wait_for_delivery(machine, collector)
                    self._check_end(collector)
                self.outcome.starts = collector.starts
                self._check(record)
                self.outcome.left_in_tmp = len(list((machine.directory / "spool" / "tmp").iterdir()))

    def _environment(self, machine: Machine, directory: Path) -> dict[str, str]:
        temporary = machine.directory / "reports"
        options = dict(self._schedule.options)
        if options.pop("BREAKPAD_TEMP_DIR", None):
            temporary = directory / "reports"
        temporary.mkdir()
        return (
            google_cloud_environment(self._bucket, self._topic)
            | _OPTIONS
            | {
                # By name, so that it has to be looked up.
                "STORAGE_EMULATOR_HOST": f"http://localhost:{self._proxies['storage'].port}",
                "PUBSUB_EMULATOR_HOST": f"localhost:{self._proxies['publish'].port}",
                "CRASHMOVER_SPOOL_DIR": str(machine.directory / "spool"),
                "BREAKPAD_TEMP_DIR": str(temporary),
            }
            | machine.environment
            | options
        )

    def _wait_for_workers(self, collector: SupervisedCollector) -> None:
        """Wait until every worker has started. The first worker has then shown that it can publish."""
        deadline = time.monotonic() + _START_SECONDS
        while collector.logs().count("their ids are published to") < int(_OPTIONS["GUNICORN_WORKERS"]):
            assert time.monotonic() < deadline, "the workers do not start"
            time.sleep(_POLL)
        assert len(self._topic.pull_messages()) == 1

    def _load(self, collector: SupervisedCollector, machine: Machine) -> Record:
        schedule = self._schedule
        with Clients(collector.port, schedule.clients, schedule.seed) as clients, self._heartbeats(collector):
            start = time.monotonic()
            for step in schedule.steps:
                time.sleep(max(0.0, start + step.at - time.monotonic()))
                self._do(step, collector, machine)
            time.sleep(max(0.0, start + schedule.seconds - time.monotonic()))
            # A processor that looks in the middle of an outage finds complete crashes, too.
            self.outcome.problems += unfinished_crashes(self._bucket, self._bucket.object_names("v1/"))
            for proxy in self._proxies.values():
                _set_fault(proxy, "pass")
            machine.set_disk("pass")
            machine.set_names("pass")
            collector.wait_until_serving()
            time.sleep(_CALM)
        return clients.record

    def _do(self, step: Step, collector: SupervisedCollector, machine: Machine) -> None:
        if step.what in self._proxies:
            _set_fault(self._proxies[step.what], step.how)
        elif step.what == "kill":
            collector.kill(step.how)
        elif step.what == "stop":
            collector.stop()
        elif step.what == "retire":
            collector.retire()
        else:
            try:
                (machine.set_disk if step.what == "disk" else machine.set_names)(step.how)
            except FaultMissingError as error:
                self.outcome.missing.append(str(error))

    @contextmanager
    def _heartbeats(self, collector: SupervisedCollector) -> Iterator[None]:
        """Ask for the load balancer's heartbeat all the time."""
        stopped = threading.Event()

        def ask() -> None:
            while not stopped.wait(_POLL):
                start = time.monotonic()
                # When workers end, connections wait for the next ones to start.
                if collector.is_serving() and not self._schedule.has("kill", "stop", "retire"):
                    self.outcome.slowest_heartbeat = max(self.outcome.slowest_heartbeat, time.monotonic() - start)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _wait_for_delivery(self, machine: Machine, collector: SupervisedCollector) -> None:
        """Wait until the spool is empty."""
        spool = machine.directory / "spool"
        start = time.monotonic()
        while waiting := [path for kind in ("save", "publish") for path in (spool / kind).glob("[!.]*")]:
            if time.monotonic() - start > _DELIVERY_SECONDS:
                self.outcome.problems += [f"still in the spool: {_describe(path)}" for path in waiting[:3]]
                break
            time.sleep(_POLL)
        self.outcome.delivered_after = time.monotonic() - start
        set_aside = [path.name for path in (spool / "set_aside").iterdir()]
        if set_aside:
            self.outcome.problems.append(f"set aside: {set_aside}")
        self._check_health(collector)
        self._check_open_files(str(spool), collector)

    def _check_health(self, collector: SupervisedCollector) -> None:
        """Check that the collector is healthy again. On a busy machine a check of the first heartbeat may take long."""
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while not (health := _health(collector)).ok:
            if time.monotonic() > deadline:
                self.outcome.problems.append(f"not healthy: {health.text}")
                return
            time.sleep(_POLL)

    def _check_open_files(self, spool: str, collector: SupervisedCollector) -> None:
        """Check that no file of the spool stays open, and that only the first thread of a worker has a gevent hub."""
        deadline = time.monotonic() + _OPEN_SECONDS
        while True:
            names = collector.open_files()
            in_spool = [name for name in names if name.startswith(spool)]
            hubs = names.count("anon_inode:[eventpoll]")
            if not in_spool and hubs <= int(_OPTIONS["GUNICORN_WORKERS"]):
                return
            if time.monotonic() > deadline:
                self.outcome.problems.append(f"open: {hubs} hubs, {in_spool[:5]}")
                return
            time.sleep(_POLL)

    def _check_end(self, collector: SupervisedCollector) -> None:
        code = collector.end()
        if code:
            self.outcome.problems.append(f"ended with exit code {code}")

    def _check(self, record: Record) -> None:
        outcome, schedule = self.outcome, self._schedule
        self._published.update(self._topic.pull_crash_ids())
        books = check_books(record.promised, self._bucket, self._published)
        outcome.problems += record.problems + books.problems
        outcome.requests = record.outcomes
        outcome.slowest_answer = max(record.latencies, default=0.0)
        outcome.promised = len(record.promised)
        outcome.saved, outcome.unpromised = books.saved, books.unpromised
        outcome.published_twice = books.published_twice
        if record.outcomes["refused"] and not schedule.may_refuse:
            outcome.problems.append(f"{record.outcomes['refused']} crashes refused with a spool that works")
        if record.outcomes["broken"] and not schedule.may_break_connections:
            outcome.problems.append(f"{record.outcomes['broken']} connections broken although nobody was killed")


def _describe(path: Path) -> str:
    """Say whether a worker has claimed an entry, and how it has failed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = "nobody works on it"
        except BlockingIOError:
            state = "somebody works on it"
        finally:
            os.close(descriptor)
        failures = path / "failures" if path.is_dir() else path
        return f"{path}: {state}; {failures.read_text() if failures.exists() else 'no failures'}"
    except OSError as error:
        return f"{path}: {error}"


def _health(collector: SupervisedCollector) -> requests.Response:
    """Return the answer of ``/__heartbeat__``."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return requests.get(f"http://127.0.0.1:{collector.port}/__heartbeat__", timeout=20)
        except requests.ConnectionError:
            # When their master is killed, workers go on for a moment, while the next ones are about to start.
            if time.monotonic() > deadline:
                raise
        collector.wait_until_serving()


def _set_fault(proxy: FaultyProxy, name: str) -> None:
    fault = BACKEND_FAULTS[name]
    turns = itertools.cycle([fault, PASS])
    proxy.choose = (lambda _: next(turns)) if name.endswith(" at times") else None
    proxy.fault = PASS if name.endswith(" at times") else fault


def play(schedule: Schedule, emulators: Emulators, library: Path | None) -> Outcome:
    """Play a schedule. If something unexpected happens in it, that becomes a problem of the outcome."""
    outcome = Outcome(schedule.seed, str(schedule))
    try:
        Player(schedule, emulators, library, outcome).play()
    except Exception as error:  # noqa: BLE001 - of hundreds of schedules, the others go on
        outcome.problems.append(f"{type(error).__name__}: {error}")
    return outcome
