# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash is saved, then its id is published. If that fails, the crash is spooled. Otherwise no id is returned."""

import errno
import logging
import re
import shutil
import time
from pathlib import Path

import gevent.event
import pytest
from markus.testing import MetricsMock

from antenna.backend import (
    BackendConfigurationError,
    BackendDenied,
    BackendError,
    CrashRefused,
    NoAnswer,
    Problem,
)
from antenna.config import ConfigurationError, build_config
from antenna.crash.report import CrashReport
from antenna.crashmover import CrashMover
from antenna.ops.errors import describe
from antenna.refusal import Lost, Reason, Refusal
from antenna.spool import Kind, SpoolFull
from tests.support.backends import ENVIRONMENT, Publish, Storage, is_away
from tests.support.crashes import make_report
from tests.support.disk import Disk

FAILURES = [BackendError("away"), BackendDenied("status 403"), CrashRefused("status 400")]


class Mover(CrashMover):
    """A crash mover on the backends for tests."""

    crashstorage: Storage
    crashpublish: Publish

    def assert_saved(self, report: CrashReport) -> None:
        names = {name.split("/")[1] for name in self.crashstorage.objects if report.crash_id in name}
        assert names == {"raw_crash", "dump_names", "dump"}

    def assert_not_saved(self, report: CrashReport) -> None:
        assert not [name for name in self.crashstorage.objects if "raw_crash" in name and report.crash_id in name]


def make_mover(**options: str) -> Mover:
    mover = Mover(build_config(ENVIRONMENT | options).with_namespace("crashmover"))
    mover.prepare()
    return mover


@pytest.fixture
def mover() -> Mover:
    """A crash mover without a spool."""
    return make_mover(CRASHMOVER_MAX_ATTEMPTS="3")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spooling_mover(spool: Path) -> Mover:
    return make_mover(CRASHMOVER_MAX_ATTEMPTS="3", CRASHMOVER_SPOOL_DIR=str(spool))


def outcome(mover: Mover, report: CrashReport) -> Exception | None:
    """Move a report. Return the exception that this raises, which gevent would print."""
    try:
        mover.move(report)
    except Refusal as error:
        return error
    return None


def spooled(spool: Path, directory: str) -> str:
    """Return the names of the entries in a directory of the spool."""
    return " ".join(path.name for path in (spool / directory).iterdir())


class TestStart:
    def test_says_where_crashes_go(self, spooling_mover: Mover, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            spooling_mover.start()
        spooling_mover.stop(0)

        assert caplog.messages[:3] == [
            "crashes are saved in Storage",
            "their ids are published to Publish",
            f"what cannot be saved or published waits in {spool}",
        ]

    def test_warns_that_there_is_no_spool(self, mover: Mover, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            mover.start()

        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
            "there is no spool: what cannot be saved is lost. CRASHMOVER_SPOOL_DIR is not set"
        ]

    @pytest.mark.parametrize(
        ("publisher", "said", "level"),
        [
            ("", "their ids are not published: CRASHMOVER_CRASHPUBLISH_CLASS is not set", logging.WARNING),
            ("antenna.ext.crashpublish_base.NoOpCrashPublish", "their ids are not published", logging.INFO),
        ],
    )
    def test_warns_that_no_publisher_is_named(
        self, caplog: pytest.LogCaptureFixture, publisher: str, said: str, level: int
    ) -> None:
        with caplog.at_level(logging.INFO):
            make_mover(CRASHMOVER_CRASHPUBLISH_CLASS=publisher).start()

        assert [record.levelno for record in caplog.records if record.getMessage() == said] == [level]

    def test_says_that_crashes_are_not_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        mover = make_mover(CRASHMOVER_CRASHSTORAGE_CLASS="antenna.ext.crashstorage_base.NoOpCrashStorage")
        report = make_report()

        with caplog.at_level(logging.INFO):
            mover.start()
            mover.move(report)

        assert (
            "crashes are not kept: CRASHMOVER_CRASHSTORAGE_CLASS names a storage that keeps nothing" in caplog.messages
        )
        assert f"{report.crash_id} not kept" in caplog.messages
        assert not [message for message in caplog.messages if "saved" in message and "cannot be saved" not in message]

    @pytest.mark.parametrize(
        ("option", "backend", "kind"),
        [
            ("CRASHMOVER_CRASHSTORAGE_CLASS", "antenna.ext.crashstorage_base.NoOpCrashStorage", Kind.CRASH),
            ("CRASHMOVER_CRASHPUBLISH_CLASS", "antenna.ext.crashpublish_base.NoOpCrashPublish", Kind.ID),
        ],
    )
    def test_what_was_promised_is_not_delivered_to_nobody(
        self, spool: Path, option: str, backend: str, kind: Kind
    ) -> None:
        mover = make_mover(CRASHMOVER_SPOOL_DIR=str(spool), **{option: backend})
        assert mover.spool
        with make_report() as report:
            mover.spool.add_crash(report)
        mover.spool.add_id(report.crash_id)

        others = Kind.ID if kind is Kind.CRASH else Kind.CRASH
        mover.start()
        with gevent.Timeout(10):
            while spooled(spool, others.value):
                gevent.sleep(0.01)
        mover.stop(5)

        assert (spooled(spool, kind.value) != "", spooled(spool, others.value)) == (True, "")


class TestMoving:
    def test_saved_and_published(self, mover: Mover, metricsmock: MetricsMock) -> None:
        report = make_report()
        mover.move(report)

        mover.assert_saved(report)
        assert mover.crashpublish.crash_ids == [report.crash_id]
        metricsmock.assert_incr_once("breakpad_resource.save_crash.count")
        metricsmock.assert_timing_once("breakpad_resource.crash_save.time")
        metricsmock.assert_timing_once("crashmover.crash_publish.time")

    def test_order(self, mover: Mover) -> None:
        report = make_report()
        mover.move(report)

        *first, last = mover.crashstorage.objects
        assert {name.split("/")[1] for name in first} == {"dump", "dump_names"}
        assert last.split("/")[1] == "raw_crash"

    def test_nothing_is_published_before_the_raw_crash_is_saved(self, mover: Mover) -> None:
        report = make_report()
        seen: list[int] = []
        mover.crashpublish.fails = lambda _: seen.append(len(mover.crashstorage.objects))
        mover.move(report)

        assert seen == [3]

    def test_deferred_crash_is_saved_only(self, mover: Mover, metricsmock: MetricsMock) -> None:
        report = make_report(deferred=True)
        mover.move(report)

        mover.assert_saved(report)
        assert mover.crashpublish.attempts == 0
        metricsmock.assert_incr_once("breakpad_resource.save_crash.count")

    def test_one_line_for_each_step(self, mover: Mover, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "antenna")
        report = make_report()
        mover.move(report)

        assert caplog.messages == [f"{report.crash_id} saved", f"{report.crash_id} published"]

    @pytest.mark.parametrize("backend", ["crashstorage", "crashpublish"])
    def test_what_fails_for_a_moment_is_tried_again(self, mover: Mover, metricsmock: MetricsMock, backend: str) -> None:
        failures = iter([BackendError("away"), BackendError("still away")])
        getattr(mover, backend).fails = lambda _: next(failures, None)
        report = make_report({})
        mover.move(report)

        assert mover.crashpublish.crash_ids == [report.crash_id]
        assert len(metricsmock.filter_records("incr", stat="crashmover.retry_count")) == 2


class TestWithoutASpool:
    @pytest.mark.parametrize("error", FAILURES, ids=repr)
    def test_what_cannot_be_saved_is_not_promised(
        self, mover: Mover, metricsmock: MetricsMock, error: Exception
    ) -> None:
        mover.crashstorage.fails = lambda _: error
        report = make_report()

        with pytest.raises(Refusal) as raised:
            mover.move(report)

        assert raised.value.reason is Reason.UNAVAILABLE
        assert mover.crashpublish.attempts == 0
        metricsmock.assert_incr_once("crashmover.crash_save_failed")
        metricsmock.assert_not_incr("breakpad_resource.save_crash.count")

    @pytest.mark.parametrize("error", FAILURES, ids=repr)
    def test_what_is_saved_is_promised_also_if_it_is_not_published(
        self, mover: Mover, metricsmock: MetricsMock, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        mover.crashpublish.fails = lambda _: error
        report = make_report()
        mover.move(report)

        mover.assert_saved(report)
        metricsmock.assert_incr_once("crashmover.crash_publish_failed")
        metricsmock.assert_incr_once("breakpad_resource.save_crash.count")
        assert f"{report.crash_id} is saved but not published" in caplog.messages

    @pytest.mark.parametrize("kind", ["dump", "dump_names", "raw_crash"])
    def test_a_crash_of_which_a_part_is_missing_is_not_saved(self, mover: Mover, kind: str) -> None:
        mover.crashstorage.fails = lambda path: BackendError("away") if f"/{kind}/" in path else None
        report = make_report()

        with pytest.raises(Refusal):
            mover.move(report)

        mover.assert_not_saved(report)

    def test_refused_crash_is_tried_once(self, mover: Mover) -> None:
        mover.crashstorage.fails = lambda _: CrashRefused("status 400")

        with pytest.raises(Refusal):
            mover.move(make_report({}))

        assert mover.crashstorage.attempts == 1

    def test_start_needs_the_backends(self, mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Storage, "verify", lambda _: _raise(BackendError("away")))

        with pytest.raises(BackendError, match="away"):
            mover.verify()


class TestWithASpool:
    @pytest.mark.parametrize("error", FAILURES, ids=repr)
    def test_what_cannot_be_saved_is_spooled(
        self, spooling_mover: Mover, spool: Path, metricsmock: MetricsMock, error: Exception
    ) -> None:
        spooling_mover.crashstorage.fails = lambda _: error
        report = make_report()
        spooling_mover.move(report)

        assert report.crash_id in spooled(spool, "save")
        assert spooling_mover.crashpublish.attempts == 0
        metricsmock.assert_incr_once("crashmover.spooled", tags=["kind:crash"])
        metricsmock.assert_not_incr("breakpad_resource.save_crash.count")

    @pytest.mark.parametrize("error", FAILURES, ids=repr)
    def test_of_what_is_saved_the_id_is_spooled(
        self, spooling_mover: Mover, spool: Path, metricsmock: MetricsMock, error: Exception
    ) -> None:
        spooling_mover.crashpublish.fails = lambda _: error
        report = make_report()
        spooling_mover.move(report)

        spooling_mover.assert_saved(report)
        assert report.crash_id in spooled(spool, "publish")
        assert spooled(spool, "save") == ""
        metricsmock.assert_incr_once("crashmover.spooled", tags=["kind:id"])

    def test_what_works_is_not_spooled(self, spooling_mover: Mover, spool: Path) -> None:
        spooling_mover.move(make_report())

        assert spooled(spool, "save") == spooled(spool, "publish") == ""

    def test_busy_worker_is_no_backend_that_hangs(
        self, spooling_mover: Mover, spool: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        spooling_mover.crashpublish.fails = lambda _: gevent.sleep(0.01)
        reports = [make_report() for _ in range(3)]

        moves = []
        for report in reports:
            moves.append(gevent.spawn(spooling_mover.move, report))
            gevent.sleep(0.01)
            time.sleep(0.2)  # nothing goes on meanwhile, as with many connections that have something to do

        gevent.joinall(moves, raise_error=True)
        assert spooling_mover.crashpublish.crash_ids == [report.crash_id for report in reports]
        assert spooled(spool, "publish") == ""
        assert "gives no answer" not in caplog.text

    def test_full_spool_promises_nothing(self, spool: Path) -> None:
        mover = make_mover(
            CRASHMOVER_MAX_ATTEMPTS="1", CRASHMOVER_SPOOL_DIR=str(spool), CRASHMOVER_SPOOL_MAX_SIZE="100kB"
        )
        mover.crashstorage.fails = is_away

        with pytest.raises(Refusal) as raised:
            mover.move(make_report({"upload_file_minidump": bytes(200_000)}))

        assert raised.value.reason is Reason.UNAVAILABLE
        assert spooled(spool, "save") == ""

    @pytest.mark.parametrize("size", [60_000, 200_000], ids=["that would fit", "that never fits"])
    def test_spool_that_has_just_turned_a_crash_away_is_not_healthy_until_there_is_room(
        self, spool: Path, size: int
    ) -> None:
        mover = make_mover(
            CRASHMOVER_MAX_ATTEMPTS="1", CRASHMOVER_SPOOL_DIR=str(spool), CRASHMOVER_SPOOL_MAX_SIZE="100kB"
        )
        mover.crashstorage.fails = is_away
        check = mover.health_checks()["spool"]
        mover.move(make_report({"upload_file_minidump": bytes(60_000)}))
        check()

        with pytest.raises(Refusal):
            mover.move(make_report({"upload_file_minidump": bytes(size)}))
        with pytest.raises(SpoolFull, match="the spool holds 69632 bytes"):
            check()

        shutil.rmtree(next((spool / "save").iterdir()))
        assert mover.spool
        mover.spool.clean_up_and_count()
        check()

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
    def test_broken_spool_promises_nothing(
        self, spooling_mover: Mover, spool: Path, disk: Disk, code: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        spooling_mover.crashstorage.fails = is_away
        disk.fail_from(len(disk.calls), code)

        for _ in range(2):
            with pytest.raises(Refusal) as raised:
                spooling_mover.move(make_report())
            assert raised.value.reason is Reason.UNAVAILABLE

        disk.work()
        assert spooled(spool, "save") == ""
        assert len([message for message in caplog.messages if "spool takes no crashes" in message]) == 1
        spooling_mover.move(make_report())
        assert "the spool takes crashes again" in caplog.messages

    @pytest.mark.parametrize(("backend", "seconds"), [("crashstorage", 1.3), ("crashpublish", 0.3)])
    def test_broken_spool_leaves_a_slow_backend_its_chance(
        self, spooling_mover: Mover, disk: Disk, backend: str, seconds: float
    ) -> None:
        slow = getattr(spooling_mover, backend)
        # A crash takes that long once: dumps and their names are saved at the same time, and before the raw crash.
        slow.fails = lambda path: None if "dump" in path else gevent.sleep(seconds)
        disk.fail_from(len(disk.calls), errno.ENOSPC)
        reports = [make_report() for _ in range(6)]

        moves = []
        for report in reports:
            moves.append(gevent.spawn(spooling_mover.move, report))
            gevent.sleep(seconds / 5)

        for report, move in zip(reports, moves, strict=True):
            move.get()
            spooling_mover.assert_saved(report)
        assert {report.crash_id for report in reports} == set(spooling_mover.crashpublish.crash_ids)

    @pytest.mark.parametrize(("backend", "name"), [("crashstorage", "storage"), ("crashpublish", "publish")])
    def test_backend_that_takes_no_crashes_is_not_healthy_whatever_else_it_answers(
        self, spooling_mover: Mover, backend: str, name: str
    ) -> None:
        checks = spooling_mover.health_checks()
        denying = getattr(spooling_mover, backend)
        denying.fails = lambda _: BackendDenied("status 403")
        checks[name]()  # nobody knows yet
        for _ in range(5):
            spooling_mover.move(make_report())

        with pytest.raises(BackendError, match="crashes find it down: BackendDenied at"):
            checks.pop(name)()
        for check_other in checks.values():
            check_other()

    @pytest.mark.parametrize("backend", ["crashstorage", "crashpublish"])
    def test_broken_spool_finds_a_backend_that_is_back_at_once(
        self, spooling_mover: Mover, disk: Disk, backend: str
    ) -> None:
        away = getattr(spooling_mover, backend)
        away.fails = is_away
        for _ in range(5):
            spooling_mover.move(make_report())
        disk.fail_from(len(disk.calls), errno.ENOSPC)
        with pytest.raises(Refusal):
            spooling_mover.move(make_report())

        away.fails = lambda _: None
        for report in [make_report() for _ in range(3)]:
            spooling_mover.move(report)
            spooling_mover.assert_saved(report)
            assert report.crash_id in spooling_mover.crashpublish.crash_ids

    def test_broken_spool_and_a_backend_that_is_down_keep_nobody_waiting(
        self, disk: Disk, spool: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        mover = make_mover(CRASHMOVER_SPOOL_DIR=str(spool), CRASHMOVER_SAVE_TIMEOUT="1s")
        mover.crashstorage.fails = is_away
        for _ in range(5):
            mover.move(make_report())
        disk.fail_from(len(disk.calls), errno.ENOSPC)
        with pytest.raises(Refusal):
            mover.move(make_report())
        caplog.clear()

        answered = gevent.event.Event()

        def is_away_in_the_end(path: str) -> Exception | None:
            answered.wait(10)
            return is_away(path)

        mover.crashstorage.fails = is_away_in_the_end
        moves = [gevent.spawn(outcome, mover, make_report()) for _ in range(50)]
        gevent.joinall(moves[1:])
        assert not moves[0].ready(), "they do not wait for the one that finds out"
        answered.set()
        gevent.joinall(moves)

        assert {type(move.value) for move in moves} == {Lost}
        assert len(caplog.messages) < 5

    def test_spool_may_take_ids_and_no_crashes(
        self, spooling_mover: Mover, disk: Disk, spool: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        spooling_mover.crashstorage.fails = is_away
        disk.fail_from(len(disk.calls), errno.ENOSPC)
        with pytest.raises(Refusal):
            spooling_mover.move(make_report())
        disk.work()
        spooling_mover.crashstorage.fails = lambda _: None
        spooling_mover.crashpublish.fails = is_away

        report = make_report()
        spooling_mover.move(report)

        assert report.crash_id in spooled(spool, "publish")
        assert "the spool takes no crashes: [Errno 28] No space left on device" in caplog.text
        assert "again" not in caplog.text.replace("trying again", "")

    @pytest.mark.parametrize(
        ("error", "is_denied"),
        [
            (BackendError("away"), False),
            (NoAnswer("no answer"), False),
            (BackendDenied("status 401"), True),
            (BackendConfigurationError("status 404"), True),
            (RuntimeError("no metadata server"), False),
        ],
        ids=repr,
    )
    def test_backend_that_does_not_work_does_not_stop_a_start(
        self,
        spooling_mover: Mover,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        spool: Path,
        error: Exception,
        is_denied: bool,
    ) -> None:
        monkeypatch.setattr(Storage, "verify", lambda _: _raise(error))
        monkeypatch.setattr(Publish, "verify", lambda _: _raise(error))

        problems = spooling_mover.verify()

        told = describe(error)  # it is no error of ours: its type, and where it was raised
        assert "test_mover.py:" in told
        assert problems == [Problem(backend, told, is_denied) for backend in ("storage", "publish")]
        loud = [record for record in caplog.records if record.exc_info]
        assert [record.getMessage() for record in loud] == [
            f"the start goes on although {backend} does not work: {told}. {what} wait in {spool}"
            for backend, what in (("storage", "Crashes"), ("publish", "Ids"))
        ]
        assert {f"storage is down: {told}", f"publish is down: {told}"} <= set(caplog.messages)
        for name in ("storage", "publish"):
            with pytest.raises(BackendError, match=re.escape(told)):
                spooling_mover.health_checks()[name]()
        report = make_report()
        spooling_mover.move(report)
        assert report.crash_id in spooled(spool, "save")

    def test_spool_that_takes_nothing_makes_a_start_strict(
        self, spooling_mover: Mover, monkeypatch: pytest.MonkeyPatch, disk: Disk
    ) -> None:
        monkeypatch.setattr(Storage, "verify", lambda _: _raise(BackendConfigurationError("status 403")))
        disk.fail_from(len(disk.calls), errno.ENOSPC)

        with pytest.raises(BackendConfigurationError, match="status 403"):
            spooling_mover.verify()

    def test_spool_that_cannot_be_written_stops_it(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(ConfigurationError, match="CRASHMOVER_SPOOL_DIR"):
            make_mover(CRASHMOVER_SPOOL_DIR=str(tmp_path / "file" / "spool"))


def _raise(error: Exception) -> None:
    raise error
