# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""If another author's backend fails, only the public reason that it gives is logged."""

from collections.abc import Callable
from typing import Any

import pytest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused
from antenna.ops.errors import describe


class Busy(BackendError):
    """An error class of another author."""


class WithProperty(Exception):
    """An error that is not one of a backend."""

    public_reason = "secret"


def raised(kind: Callable[..., Exception], *args: Any, **kwargs: Any) -> Exception:
    """Return an error that was raised in code that is not Antenna's, such as this file."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind
        raise kind(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (raised(BackendError, "secret"), "BackendError at test_errors.py:{}"),
        (raised(BackendError, "secret", public_reason="disk 7 is full"), "BackendError at {}: disk 7 is full"),
        (raised(BackendError, "secret", public_reason=7), "BackendError at {}"),  # no text, so no reason
        (raised(CrashRefused, public_reason="status 413"), "CrashRefused at {}: status 413"),
        (raised(BackendDenied, "secret", public_reason="403"), "BackendDenied at {}: 403"),
        (
            raised(BackendConfigurationError, public_reason="no such shelf"),
            "BackendConfigurationError at {}: no such shelf",
        ),
        (raised(Busy, "secret", public_reason="later"), "Busy at {}: later"),
        (raised(WithProperty, "secret"), "WithProperty at {}"),
        (raised(ValueError, "secret"), "ValueError at {}"),
    ],
)
def test_error_of_others(error: Exception, told: str) -> None:
    line = error.__traceback__.tb_lineno if error.__traceback__ else 0

    assert describe(error) == told.replace("test_errors.py:", "").format(f"test_errors.py:{line}")


def test_reason_is_cut() -> None:
    assert len(describe(raised(CrashRefused, public_reason="x" * 5000))) < 300


def test_error_of_ours_is_told_by_its_message() -> None:
    assert describe(BackendError("the bucket reports another checksum")) == "the bucket reports another checksum"
