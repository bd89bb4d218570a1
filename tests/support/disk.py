# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Records each call that writes to the disk, and makes any of them fail."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

# Calls that write to the disk. Calls that remove something (unlink, rmdir) are left out: no test lets cleaning up fail.
_WATCHED = ("open", "write", "fsync", "mkdir", "rename", "link")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changes the disk."""

    name: str
    path: Path
    target: Path | None = None
    """The new name, for rename and link."""


class Disk:
    """Records the calls, in ``calls``, from the time when this context manager is entered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._real = {name: getattr(os, name) for name in _WATCHED}
        self._fails: Callable[[int], bool] = lambda _: False
        self._fail: Callable[[], None] = lambda: None

    def fail_at(self, number: int, code: int = errno.EIO) -> None:
        """Make one call fail. Those after it work again. Counts from 0."""
        self._fails = lambda count: count == number
        self._fail = lambda: _raise(code)

    def fail_from(self, number: int, code: int = errno.EIO) -> None:
        """Make all calls fail from one on."""
        self._fails = lambda count: count >= number
        self._fail = lambda: _raise(code)

    def do_at(self, number: int, what: Callable[[], None]) -> None:
        """Call a function just before a call is made."""
        self._fails = lambda count: count == number
        self._fail = what

    def work(self) -> None:
        """Make all calls work again."""
        self._fails = lambda _: False

    def __enter__(self) -> Self:
        for name in _WATCHED:
            setattr(os, name, self._watched(name))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)

    def _watched(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return self._real[name](*args, **kwargs)
            target = Path(args[1]) if name in {"rename", "link"} else None
            self.calls.append(Call(name, _path(args[0]), target))
            if self._fails(len(self.calls) - 1):
                self._fail()
            return self._real[name](*args, **kwargs)

        return call


def _path(file: Any) -> Path:
    return Path(f"/proc/self/fd/{file}").readlink() if isinstance(file, int) else Path(file)


def _raise(code: int) -> None:
    raise OSError(code, os.strerror(code))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:  # noqa: ARG001 - what makes it is not to be watched
    """The disk of the test. Calls that change it are recorded."""
    with Disk() as watched:
        yield watched


@pytest.fixture(params=["O_TMPFILE", "without"])
def _with_and_without_o_tmpfile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tests twice: the second time as on a file system that does not know files without a name."""
    if request.param == "without":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
