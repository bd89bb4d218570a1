# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Loads crashes from the storage and sends them to a child process, which reads the dumps."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import gevent
from gevent import subprocess as gevent_subprocess

from antenna.crash import dump_names_path, dump_path, raw_crash_path
from antenna.ext import CrashStorageBase
from antenna.viewer.rows import CrashRow

MINIDUMP = "upload_file_minidump"

# Seconds that the child has for one crash. Then it is killed. Real dumps take less than one, those of 25 MB two.
TIMEOUT = 30.0
# Environment variables that the child gets. None of them is secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class CrashFailedError(Exception):
    """A crash cannot be shown. The message says why."""


class CrashReader:
    """Reads one crash at a time."""

    def __init__(
        self,
        storage: CrashStorageBase,
        symbols: Path | None,
        *,
        allowed: frozenset[str] = frozenset(),
        timeout: float = TIMEOUT,
    ) -> None:
        """``symbols`` is the directory of the store, if there is one. ``allowed`` is as for ``make_row``."""
        self._storage = storage
        self._symbols = symbols
        self._allowed = sorted(allowed)
        self.timeout = timeout
        #: Whether the storage lacked an object of the crash that was read last. The object may still come.
        self.lacked_object = False
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the child, if it runs."""
        return None if self._child is None else self._child.pid

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                with contextlib.suppress(OSError):  # bytes that the child has not read cannot be written any more
                    assert pipe is not None  # noqa: S101 - for mypy: it is a pipe
                    pipe.close()
            self._child = None

    def read(self, crash_id: str) -> CrashRow:
        """Return the row of a crash. If its minidump cannot be read, the row says why.

        Raises ``CrashFailedError`` if the raw crash cannot be read, and ``BackendError`` if the storage is away.
        """
        raw_crash = self._storage.load(raw_crash_path(crash_id))
        self.lacked_object = raw_crash is None
        if raw_crash is None:
            raise CrashFailedError(f"{raw_crash_path(crash_id)} is missing")
        names = self._storage.load(dump_names_path(crash_id)) or b"[]"
        minidump, trouble = None, ""
        if _has_minidump(names):
            minidump = self._storage.load(dump_path(crash_id, MINIDUMP))
            self.lacked_object = minidump is None
            trouble = "" if minidump is not None else f"the minidump is missing ({dump_path(crash_id, MINIDUMP)})"
        try:
            return self.ask(crash_id, raw_crash, names, minidump, trouble)
        except CrashFailedError as error:
            if minidump is None:
                raise
            # Without the minidump, the rest of the crash can be shown.
            return self.ask(crash_id, raw_crash, names, None, f"the minidump cannot be read: {error}")

    def ask(self, crash_id: str, raw_crash: bytes, names: bytes, minidump: bytes | None, trouble: str) -> CrashRow:
        """Have the child make a row. Raises ``CrashFailedError``."""
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = self.start()
        request = {
            "crash_id": crash_id,
            "allowed": self._allowed,
            "trouble": trouble,
            "raw_crash": len(raw_crash),
            "dump_names": len(names),
            "minidump": None if minidump is None else len(minidump),
        }
        pieces = [json.dumps(request).encode("ascii") + b"\n", raw_crash, names, minidump or b""]
        took_too_long = False
        answer = b""
        try:
            with gevent.Timeout(self.timeout):
                answer = exchange(self._child, pieces)
        except gevent.Timeout:
            took_too_long = True
        if not answer.endswith(b"\n"):
            self.close()
            raise CrashFailedError(
                "reading it took too long" if took_too_long else "its reader took too much and ended"
            )
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise CrashFailedError(found["error"])
        return CrashRow.from_json(found)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the child."""
        arguments = [] if self._symbols is None else [str(self._symbols.resolve())]
        child: subprocess.Popen[bytes] = gevent_subprocess.Popen(
            [sys.executable, "-m", "antenna.viewer.child", *arguments],
            cwd=Path(__file__).resolve().parents[2],
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return child


def _has_minidump(names: bytes) -> bool:
    try:
        found = json.loads(names)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and MINIDUMP in found


def exchange(child: "subprocess.Popen[bytes]", pieces: list[bytes]) -> bytes:
    """Send a request to the child. Returns the answer, or b"" if the child has ended."""
    assert child.stdin is not None  # noqa: S101 - for mypy: it is a pipe
    assert child.stdout is not None  # noqa: S101 - for mypy: it is a pipe
    try:
        for piece in pieces:
            child.stdin.write(piece)
        child.stdin.flush()
        return child.stdout.readline()
    except OSError:  # the child is gone
        return b""
