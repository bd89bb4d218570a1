# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs programs of bin/ in forks of a process that has imported what they use. See ``tests.support.tools``.

It reads requests from the socket whose descriptor is its first argument, one JSON object a line, and answers each with
the exit code once the program has ended. With ``--patched``, gevent patches the process at the start.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from gevent import monkey

# Modules that programs import, or have imported by the standard library, when they need them.
_IMPORTED_LATE = ("_strptime", "netrc", "shlex")
_IMPORTED_LATE_IF_PATCHED = ("bin._backends", *_IMPORTED_LATE, "bin._stored_crash", "siggen.generator")

# gevent's fork would make a hub in this process, and the programs would find it in use.
_fork = monkey.get_original("os", "fork")
_waitpid = monkey.get_original("os", "waitpid")


def _run(arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[str]) -> int:
    """Run a program as Python would; return its exit code."""
    os.environ.clear()
    os.environ.update(environment)
    for number, (path, flags) in enumerate(zip(files, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = list(arguments)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except BaseException:  # noqa: BLE001 - as Python itself does
        traceback.print_exc()
        return 1
    return 0


def _import(modules: Sequence[str]) -> None:
    """Import what a program imports, so that its fork need not. No module has threads or connections after that."""
    if any(module not in sys.modules for module in modules):
        for module in modules:
            with contextlib.suppress(ImportError):  # the program says what it lacks
                importlib.import_module(module)
        # A collection in a fork would touch all these objects, and so copy the memory that they are in.
        gc.collect()
        gc.freeze()


def _run_in_fork(request: dict[str, Any]) -> int:
    _import(request.pop("imported"))
    child = _fork()
    if child:
        return os.waitstatus_to_exitcode(_waitpid(child, 0)[1])
    exit_code = _run(**request)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(exit_code)


def _read_line(descriptor: int) -> bytes:
    """Return the next line. If the tests have closed the connection, return what came of it."""
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(descriptor, 65536)):
        line += piece
    return line


def main() -> None:
    """Serve until the tests close the connection."""
    descriptor = int(sys.argv[1])
    _import(_IMPORTED_LATE_IF_PATCHED if "--patched" in sys.argv else _IMPORTED_LATE)
    while line := _read_line(descriptor):
        os.write(descriptor, b"%d\n" % _run_in_fork(json.loads(line)))


if __name__ == "__main__":
    main()
