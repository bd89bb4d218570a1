# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A backend that is back is found without a crash, because none may come until then."""

import contextlib

import pytest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError
from antenna.config import build_config
from antenna.crashmover import CrashMover
from antenna.refusal import Lost
from tests.support import backends
from tests.support.crashes import make_report


class _Checked:
    """The checks of a backend. Its health check works although crashes are denied: it needs other permissions."""

    error: Exception | None = None
    verified = 0

    def check_health(self) -> None:
        if self.error is not None and not isinstance(self.error, BackendDenied):
            raise self.error

    def verify(self) -> None:
        self.verified += 1
        if self.error is not None:
            raise BackendConfigurationError from self.error


class Storage(_Checked, backends.Storage):
    """A storage with checks."""


class Publish(_Checked, backends.Publish):
    """A publisher with checks."""


ENVIRONMENT = backends.ENVIRONMENT | {
    "CRASHMOVER_CRASHSTORAGE_CLASS": f"{__name__}.Storage",
    "CRASHMOVER_CRASHPUBLISH_CLASS": f"{__name__}.Publish",
    "CRASHMOVER_MAX_ATTEMPTS": "1",
}


@pytest.mark.parametrize("error", [BackendDenied("403"), BackendError("503")])
@pytest.mark.parametrize("name", ["storage", "publish"])
def test_without_crashes(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    mover = CrashMover(build_config(ENVIRONMENT).with_namespace("crashmover"))
    backend = mover.crashstorage if name == "storage" else mover.crashpublish
    assert isinstance(backend, Storage | Publish)
    backend.error, backend.fails = error, lambda _: error
    while not mover.backends.finds_down(name):
        with contextlib.suppress(Lost):
            mover.move(make_report())
    mover.backends.look_after()
    assert backend.verified == 0, "it was tried a moment ago"

    monkeypatch.setattr("antenna.crashmover.breaker._TRY_AFTER", 0.0)
    mover.backends.look_after()
    assert mover.backends.finds_down(name)

    backend.error, backend.fails = None, backends.works
    mover.backends.look_after()
    assert not mover.backends.finds_down(name)
    assert mover.could_keep_a_crash
