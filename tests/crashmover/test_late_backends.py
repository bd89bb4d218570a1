# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A backend that cannot be built does not stop a start with a spool: crashes wait until it can."""

from pathlib import Path

import pytest

from antenna.backend import BackendConfigurationError, BackendError
from antenna.config import ConfigManager, ConfigurationError, Option, build_config
from antenna.crashmover import CrashMover
from antenna.ops.errors import describe
from tests.support import backends
from tests.support.crashes import make_report


class Credentials:
    """A server that backends ask for credentials when they are built."""

    error: Exception | None = None

    @classmethod
    def ask(cls) -> None:
        if cls.error is not None:
            raise cls.error


class Storage(backends.Storage):
    """A storage that needs credentials."""

    class Config:
        """One that has to be set."""

        bucket = Option(doc="Name of the bucket.")

    def __init__(self, config: ConfigManager) -> None:
        super().__init__(config)
        self.config("bucket")
        Credentials.ask()


class Publish(backends.Publish):
    """A publisher that needs credentials."""

    def __init__(self, config: ConfigManager) -> None:
        super().__init__(config)
        Credentials.ask()


ENVIRONMENT = backends.ENVIRONMENT | {
    "CRASHMOVER_CRASHSTORAGE_CLASS": f"{__name__}.Storage",
    "CRASHMOVER_CRASHSTORAGE_BUCKET": "crashes",
    "CRASHMOVER_CRASHPUBLISH_CLASS": f"{__name__}.Publish",
}

ERRORS = [
    BackendError("secret", public_reason="no answer"),
    BackendConfigurationError(public_reason="no such file"),
    ConnectionRefusedError(111, "Connection refused"),
    RuntimeError("secret"),
]


@pytest.fixture(params=ERRORS, ids=repr)
def error(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    failure: Exception = request.param
    monkeypatch.setattr(Credentials, "error", failure)
    return failure


def make_mover(**options: str) -> CrashMover:
    return CrashMover(build_config(ENVIRONMENT | options).with_namespace("crashmover"))


def test_crashes_wait_until_it_is_built(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antenna.crashmover.breaker._TRY_AFTER", 0.0)
    mover = make_mover(CRASHMOVER_SPOOL_DIR=str(tmp_path))
    problems = mover.verify()
    assert [problem.backend for problem in problems] == ["storage", "publish"]
    for problem in problems:
        assert type(error).__name__ in problem.reason or "[Errno 111]" in problem.reason
        assert getattr(error, "public_reason", "") in problem.reason
        assert "secret" not in problem.reason
    assert [mover.crashstorage.place, mover.crashpublish.place] == ["Storage", "Publish"]
    mover.move(make_report())
    assert len(list((tmp_path / "save").iterdir())) == 1
    for check in ("storage", "publish"):
        with pytest.raises(BackendError, match="cannot be set up"):
            mover.health_checks()[check]()

    monkeypatch.setattr(Credentials, "error", None)
    mover.backends.look_after()
    report = make_report()
    mover.move(report)

    assert not mover.backends.finds_down("storage")
    assert not mover.backends.finds_down("publish")
    for check in ("storage", "publish"):
        mover.health_checks()[check]()
    assert len(list((tmp_path / "save").iterdir())) == 1, "the second crash went to the storage"


def test_without_a_spool_the_start_fails(error: Exception) -> None:
    with pytest.raises(BackendConfigurationError) as raised:
        make_mover()

    assert "secret" not in describe(raised.value)
    assert getattr(error, "public_reason", "") in describe(raised.value)


def test_bad_option_stops_the_start_with_a_spool_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CRASHMOVER_CRASHSTORAGE_BUCKET is not set"):
        make_mover(CRASHMOVER_SPOOL_DIR=str(tmp_path), CRASHMOVER_CRASHSTORAGE_BUCKET="")


@pytest.mark.usefixtures("error")
def test_options_of_what_is_built_later_are_shown(tmp_path: Path) -> None:
    mover = make_mover(CRASHMOVER_SPOOL_DIR=str(tmp_path))

    assert mover.crashstorage.config("bucket") == "crashes"
    assert mover.crashstorage.keeps
    assert mover.crashpublish.publishes
