# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The faults of the drill. A fault says how it is caused on a running collector, and which alert has to fire."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import faulty
from tests.support.faulty import FaultyProxy
from tests.support.programs import free_port
from tests.support.reports import annotation, dump, report
from tests.support.server import PROJECT_ROOT, AntennaServer

NORMAL = report(annotation("ProductName", "Firefox"), annotation("Fate", "reject"), dump(b"MDMP" * 100))
CRASH = report(annotation("ProductName", "Firefox"), dump(b"MDMP" * 5000))
LARGE = report(annotation("ProductName", "Firefox"), dump(os.urandom(3 * 1024 * 1024)))
ASTRAY = CRASH.replace(b"/submit", b"/submit/", 1)
GET = b"GET /submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

RULES = """\
[[rules]]
name = "rejects"
annotation = "Fate"
equals = "reject"
result = "REJECT"

[[rules]]
name = "accepts"
result = "ACCEPT"
"""


RULES_OF_HOUSE: Mapping[str, str] = {
    "PYTHONPATH": str(PROJECT_ROOT / "tests" / "support" / "rules"),
    "BREAKPAD_THROTTLER_RULES": "drill_rules.RULES",
}


@dataclass
class Instance:
    """A collector that faults are caused on."""

    directory: Path
    environment: Mapping[str, str]
    server: AntennaServer

    def send(self, *requests: bytes) -> None:
        """Send requests, whatever the answers are."""
        for request in requests:
            with contextlib.suppress(OSError, AssertionError):
                self.server.send_raw(request, timeout_seconds=5)

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes of the collector's workers."""
        return psutil.Process(self.server.pid).children()

    def kill_a_worker(self) -> None:
        """End a worker by SIGKILL, as a system does when memory runs out."""
        self.workers[0].kill()

    def break_storage(self) -> None:
        """Take the directory of crashes away, where crashes are kept in files."""
        self.replace_with_file("crashes")

    def mend_storage(self) -> None:
        """Put the directory of crashes back."""
        (self.directory / "crashes").unlink()
        (self.directory / "crashes-away").rename(self.directory / "crashes")

    def replace_with_file(self, name: str) -> None:
        """Put a file in the place of a directory, in which nothing can be written then."""
        (self.directory / name).rename(self.directory / f"{name.replace('/', '-')}-away")
        (self.directory / name).write_text("no directory")


@dataclass
class GoogleCloudInstance(Instance):
    """A collector whose backends are behind proxies, which can fail."""

    storage: FaultyProxy
    publish: FaultyProxy


def _nothing(_: GoogleCloudInstance) -> None:
    return


@dataclass(frozen=True)
class Fault:
    """A fault, and the alert that it has to fire."""

    name: str
    alert: str
    #: Called once. What it puts on the stack ends with the fault.
    begin: Callable[[GoogleCloudInstance, ExitStack], object]
    #: Called twice a second.
    go_on: Callable[[GoogleCloudInstance], object] = _nothing
    #: Options of the collector, from the directory that is its own.
    options: Callable[[Path], Mapping[str, str]] = lambda _: RULES_OF_HOUSE
    #: Whether crashes go on coming that a rule rejects.
    has_traffic: bool = True
    #: Whether its alert may fire already before it ``begins``.
    is_there_before: bool = False
    #: Alerts that may fire on the way: what the fault takes to come about is a fault of its own.
    on_the_way: frozenset[str] = frozenset()


def crash(instance: GoogleCloudInstance) -> None:
    instance.send(CRASH)


def set_fault(backend: str, fault: faulty.Fault) -> Callable[[GoogleCloudInstance, ExitStack], object]:
    def begin(instance: GoogleCloudInstance, _: ExitStack) -> None:
        getattr(instance, backend).fault = fault

    return begin


def with_options(**options: str) -> Callable[[Path], Mapping[str, str]]:
    return lambda _: {**RULES_OF_HOUSE, **options}


def break_spool(instance: GoogleCloudInstance, _: ExitStack) -> None:
    instance.replace_with_file("spool/tmp")


def break_spool_and_storage(instance: GoogleCloudInstance, stack: ExitStack) -> None:
    break_spool(instance, stack)
    instance.storage.fault = faulty.REFUSE


def break_temp(instance: GoogleCloudInstance, _: ExitStack) -> None:
    instance.replace_with_file("temp")


def fill_spool(instance: GoogleCloudInstance, _: ExitStack) -> None:
    """Send crashes while the storage is away, until the spool is a little more than four fifths full."""
    instance.storage.fault = faulty.REFUSE
    limit = int(instance.environment["CRASHMOVER_SPOOL_MAX_SIZE"])
    while _size_on_disk(instance.directory / "spool") < 0.84 * limit:
        instance.send(CRASH)


def _size_on_disk(directory: Path) -> int:
    """Return the bytes of the blocks that a tree takes, as the spool counts them."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*"))


def damage_an_entry(instance: GoogleCloudInstance, _: ExitStack) -> None:
    """Damage a dump in the spool while the storage is away. Then the storage comes back."""
    instance.storage.fault = faulty.REFUSE
    while not (dumps := [path for path in (instance.directory / "spool").rglob("*") if _is_dump(path)]):
        instance.send(CRASH)
    content = bytearray(dumps[0].read_bytes())
    content[1000] ^= 0xFF
    dumps[0].write_bytes(content)
    instance.storage.fault = faulty.PASS


def _is_dump(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 4 * 5000


def hold_an_entry(instance: GoogleCloudInstance, stack: ExitStack) -> None:
    """Hold a crash in the spool, as a program does that works on it and hangs. Then the storage comes back."""
    instance.storage.fault = faulty.REFUSE
    while not (entries := list((instance.directory / "spool" / "save").iterdir())):
        instance.send(CRASH)
    descriptor = os.open(entries[0], os.O_RDONLY)
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    instance.storage.fault = faulty.PASS


def stop_a_worker(instance: GoogleCloudInstance, _: ExitStack) -> None:
    instance.workers[0].suspend()


def starve(instance: GoogleCloudInstance) -> None:
    """Take the processor from the workers for most of half a second."""
    for worker in instance.workers:
        os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(1.5)
    for worker in instance.workers:
        os.kill(worker.pid, signal.SIGCONT)


def take_connections(instance: GoogleCloudInstance, stack: ExitStack) -> None:
    for _ in range(2 * int(instance.environment["GUNICORN_WORKER_CONNECTIONS"])):
        stack.enter_context(instance.server.connect()).send(CRASH[:-10])


def with_rules_file(directory: Path) -> Mapping[str, str]:
    (directory / "rules.toml").write_text(RULES)
    return {"BREAKPAD_THROTTLER_RULES": str(directory / "rules.toml")}


def break_rules(instance: GoogleCloudInstance, _: ExitStack) -> None:
    (instance.directory / "rules.toml").write_text(RULES + '[[rules]]\nname = "no rule"\n')


def fail_to_start(instance: GoogleCloudInstance, _: ExitStack) -> None:
    """Start the collector again with an option that should be a number and is not."""
    instance.server.stop()
    instance.server = AntennaServer({**instance.environment, "GUNICORN_WORKERS": "many"}, instance.directory)


BACKEND_DOWN = frozenset({"BackendDown"})
STORAGE_DOWN = set_fault("storage", faulty.REFUSE)

FAULTS = [
    Fault("storage refuses connections", "BackendDown", STORAGE_DOWN, crash),
    Fault("storage hangs", "BackendDown", set_fault("storage", faulty.HANG), crash),
    Fault("storage denies", "BackendDown", set_fault("storage", faulty.Fault(status=403)), crash),
    Fault("bucket is gone", "BackendDown", set_fault("storage", faulty.Fault(status=404)), crash),
    Fault("quota is used up", "BackendDown", set_fault("storage", faulty.Fault(status=429)), crash),
    Fault("publishing is denied", "BackendDown", set_fault("publish", faulty.Fault(status=403)), crash),
    Fault(
        "publishing is down and there is no spool",
        "Unpublished",
        set_fault("publish", faulty.REFUSE),
        crash,
        with_options(CRASHMOVER_SPOOL_DIR="", CRASHMOVER_PUBLISH_TIMEOUT="1s"),
    ),
    Fault("an entry stays in the spool", "SpoolStuck", hold_an_entry, crash, on_the_way=BACKEND_DOWN),
    Fault(
        "storage is down and there is no spool",
        "CrashesLost",
        STORAGE_DOWN,
        crash,
        with_options(CRASHMOVER_SPOOL_DIR="", CRASHMOVER_SAVE_TIMEOUT="1s"),
    ),
    Fault(
        "storage is down and the spool is full",
        "CrashesLost",
        STORAGE_DOWN,
        crash,
        with_options(CRASHMOVER_SPOOL_MAX_SIZE="100000"),
    ),
    Fault("storage is down and the spool cannot be written", "CrashesLost", break_spool_and_storage, crash),
    Fault(
        "spool is nearly full",
        "SpoolFullSoon",
        fill_spool,
        options=with_options(CRASHMOVER_SPOOL_MAX_SIZE="2000000"),
        on_the_way=BACKEND_DOWN,
    ),
    Fault("spool cannot be written", "SpoolNotWritable", break_spool, crash),
    Fault("temporary files cannot be written", "TemporaryFilesFail", break_temp, crash),
    Fault("crashes need temporary files", "CrashesLost", break_temp, lambda instance: instance.send(LARGE)),
    Fault("an entry is damaged", "SetAside", damage_an_entry, on_the_way=BACKEND_DOWN),
    Fault("a worker is killed", "WorkerDeaths", lambda instance, _: instance.kill_a_worker()),
    Fault("a worker is stuck", "WorkerDeaths", stop_a_worker),
    Fault("processor is overloaded", "LoopLag", lambda *_: None, starve),
    Fault(
        "slow clients take all connections",
        "ConnectionsHigh",
        take_connections,
        options=with_options(GUNICORN_WORKER_CONNECTIONS="10", BREAKPAD_BODY_TIMEOUT="5m"),
    ),
    Fault("a wrong path", "WrongPath", lambda *_: None, lambda instance: instance.send(ASTRAY)),
    Fault("a redirect makes a GET", "WrongPath", lambda *_: None, lambda instance: instance.send(GET, GET)),
    Fault(
        "a rule raises",
        "RuleError",
        lambda *_: None,
        lambda instance: instance.send(report(annotation("Fate", "raise"), dump(b"MDMP"))),
    ),
    Fault("new rules are broken", "RuleError", break_rules, options=with_rules_file),
    Fault(
        "statsd is away",
        "MetricsDropped",
        lambda *_: None,
        options=lambda _: {**RULES_OF_HOUSE, "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(free_port())},
        is_there_before=True,
    ),
    Fault("a start fails", "CannotStart", fail_to_start),
    Fault("no crash comes", "NoTraffic", lambda *_: None, has_traffic=False),
]
