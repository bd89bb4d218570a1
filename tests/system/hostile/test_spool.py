# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The spool of a running collector during an outage, with hostile clients, a damaged disk, and foreign files."""

import gzip
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests

from antenna.spool.stock import take_stock
from tests.support.collector import Collector
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.raw_http import RawResponse
from tests.support.reports import annotation, dump, multipart, post, report
from tests.system.conftest import running_on_files

MIB = 1024 * 1024


class Outage:
    """A collector whose storage does not answer from ``begin()`` to ``end()``."""

    def __init__(self, collector: Collector, directory: Path) -> None:
        self.collector = collector
        self.spool = directory / "spool"
        self._crashes = directory / "crashes"

    def begin(self) -> None:
        shutil.rmtree(self._crashes)
        self._crashes.touch()

    def end(self) -> None:
        self._crashes.unlink()

    def clean_up(self) -> None:
        """Remove what a test leaves in the spool, and wait until the collector is well."""
        for directory in ("save", "publish", "tmp", "set_aside"):
            for path in (self.spool / directory).iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        self.collector.server.wait_until(self.is_well)

    def assert_delivered(self, answers: list[RawResponse]) -> None:
        """Check that all crashes that were answered with ids are saved completely, and published."""
        for answer in answers:
            self.collector.server.wait_until(partial(self._is_saved, self.collector.assert_kept(answer)))
            crash = self.collector.assert_saved(answer)
            self.collector.assert_published(crash.crash_id)

    def _is_saved(self, crash_id: str) -> bool:
        return any(name.startswith("v1/raw_crash/") for name in self.collector.objects_of(crash_id))

    def is_well(self) -> bool:
        """Whether the heartbeat has no errors. The heartbeat looks at the storage now and then."""
        return requests.get(f"{self.collector.server.url}/__heartbeat__", timeout=10).ok

    def warning(self) -> str:
        """Return the warning of the heartbeat, and check that it has no errors."""
        answer = requests.get(f"{self.collector.server.url}/__heartbeat__", timeout=10)
        checks = answer.json()["checks"].values()
        assert answer.status_code == 200
        return " ".join(check["message"] for check in checks if check["status"] == "warning")


@contextmanager
def running(directory: Path, options: Mapping[str, str]) -> Iterator[Outage]:
    usual = {"CRASHMOVER_SPOOL_DIR": str(directory / "spool"), "BREAKPAD_TEMP_DIR": str(directory)}
    with running_on_files(directory, usual | dict(options)) as collector:
        yield Outage(collector, directory)


@pytest.fixture(scope="module")
def shared_outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    with running(tmp_path_factory.mktemp("outage"), {}) as outage:
        yield outage


@pytest.fixture(scope="module")
def shared_small_outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    with running(tmp_path_factory.mktemp("outage"), {"CRASHMOVER_SPOOL_MAX_SIZE": "32MiB"}) as outage:
        yield outage


@pytest.fixture
def away(shared_outage: Outage) -> Iterator[Outage]:
    """An outage of the storage. The tests share the collector."""
    shared_outage.begin()
    yield shared_outage
    shared_outage.clean_up()


@pytest.fixture
def small_away(shared_small_outage: Outage) -> Iterator[Outage]:
    """An outage of the storage while there is room for 32 MiB in the spool. The tests share the collector."""
    shared_small_outage.begin()
    yield shared_small_outage
    shared_small_outage.clean_up()


def honest_report() -> bytes:
    return report(annotation("ProductName", "Firefox"), dump(random.randbytes(100_000)))


def bomb(content: bytes) -> bytes:
    """Return a report of a few kilobytes that inflates to much more: it is compressed as well as gzip can."""
    body = multipart(annotation("ProductName", "Firefox"), dump(content))
    return post(gzip.compress(body), {"Content-Encoding": "gzip"})


def test_hostile_clients_do_not_turn_honest_ones_away(small_away: Outage) -> None:
    away = small_away
    hostile = bomb(b"MDMP" * MIB)
    assert len(hostile) < 10_000

    bombs, kept = [], []
    for _ in range(12):
        bombs.append(away.collector.submit(hostile))
        kept.append(away.collector.submit(honest_report()))
        assert take_stock(away.spool).size <= 32 * MIB

    refused = [answer for answer in bombs if answer.status == 503]
    assert 1 <= len(bombs) - len(refused) <= 4  # they have half of the room, and four take that much
    assert all(answer.headers["Retry-After"] for answer in refused)
    away.end()
    away.assert_delivered([*kept, *(answer for answer in bombs if answer.status != 503)])


def test_zeros_take_no_room(small_away: Outage) -> None:
    away = small_away
    hostile = bomb(bytes(20 * MIB))
    kept = [away.collector.submit(hostile) for _ in range(3)]
    kept += [away.collector.submit(honest_report()) for _ in range(10)]

    away.end()
    away.assert_delivered(kept)


def test_what_was_damaged_is_set_aside_and_the_heartbeat_says_so(away: Outage) -> None:
    answers = [away.collector.submit(honest_report()) for _ in range(5)]
    damaged, _, emptied, *_ = entries = sorted((away.spool / "save").iterdir())
    content = bytearray((damaged / "dump.upload_file_minidump").read_bytes())
    content[50_000] ^= 1
    (damaged / "dump.upload_file_minidump").write_bytes(content)
    os.truncate(emptied / "dump.upload_file_minidump", 0)

    away.end()

    crash_ids = {entry.name[23:59] for entry in (damaged, emptied)}
    away.assert_delivered([answer for answer in answers if answer.text[11:47] not in crash_ids])
    set_aside = away.spool / "set_aside"
    away.collector.server.wait_until(lambda: len(list(set_aside.iterdir())) == 2)
    assert all("checksum" in (entry / "failures").read_text() for entry in set_aside.iterdir())
    assert len(entries) == 5
    for crash_id in crash_ids:
        away.collector.assert_not_saved(crash_id)
    away.collector.server.wait_until(away.is_well)
    assert away.warning() == "2 entries can never be delivered; see bin/spool.py list"
    for entry in list(set_aside.iterdir()):
        (set_aside / f"{entry.name}.acknowledged").touch()
    assert away.warning() == ""


def test_things_that_do_not_belong_there_hold_up_nothing(away: Outage) -> None:
    names = [f"20200101T000000.000000-{number:08x}-1111-4111-8111-111110160918" for number in range(20)]
    things = [*ODD_THINGS, "file", "device"]
    for name, thing in zip(names, things, strict=False):
        make_odd_thing(away.spool / "save" / f"{name}.5", thing)
        make_odd_thing(away.spool / "publish" / name, thing)
        make_odd_thing(away.spool / "tmp" / name, thing)
        make_odd_thing(away.spool / "save" / os.fsdecode(b"\xff" + name.encode()), thing)
    answers = [away.collector.submit(honest_report()) for _ in range(3)]
    entry = next(path for path in (away.spool / "save").iterdir() if path.name[23:31] == answers[0].text[11:19])
    make_odd_thing(entry / "failures", "FIFO")
    make_odd_thing(entry / "something", "socket")

    away.end()

    away.assert_delivered(answers)
    # A file that has the name of an id counts as an id. It is the only one whose content is read.
    away.collector.server.wait_until(lambda: len(list((away.spool / "set_aside").iterdir())) == 2 * len(things))
    assert {path.name[:1] for path in (away.spool / "save").iterdir()} == {os.fsdecode(b"\xff")}
    assert list((away.spool / "publish").iterdir()) == []
    away.collector.server.wait_until(away.is_well)
    away.collector.server.wait_until(lambda: "entries can never be delivered" in away.warning())


def test_raw_crash_that_is_none_is_set_aside(away: Outage) -> None:
    contents = [b"", b'{"a":' * 100_000, b"[1]", b"\xff\xfe", b'{"uuid": "x"}']
    answers = [away.collector.submit(honest_report()) for _ in range(len(contents) + 1)]
    entries = sorted((away.spool / "save").iterdir())
    for entry, content in zip(entries, contents, strict=False):
        (entry / "raw_crash").write_bytes(content)

    away.end()

    *damaged, whole = answers
    away.assert_delivered([whole])
    for answer in damaged:
        away.collector.assert_not_saved(away.collector.assert_kept(answer))
    away.collector.server.wait_until(lambda: len(list((away.spool / "set_aside").iterdir())) == len(contents))


def test_large_entries_are_verified_while_others_are_served(away: Outage) -> None:
    large = [report(annotation("ProductName", "Firefox"), dump(random.randbytes(10 * MIB))) for _ in range(2)]
    answers = [away.collector.submit(request) for request in large]
    away.end()
    longest = 0.0
    while take_stock(away.spool).crashes:
        start = time.monotonic()
        assert away.collector.server.is_serving()
        longest = max(longest, time.monotonic() - start)

    assert longest < 2
    away.assert_delivered(answers)
