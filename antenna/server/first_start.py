# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The first start of an instance: one worker proves that the backends work, for all workers.

If every worker wrote a test object, a bucket that takes one write a second of an object would refuse some of them, and
a start that fails would be reported by each. So gunicorn starts one worker alone. When that one serves, it says so, and
the others follow. Those that replace others later prove nothing: in an outage they would take the server down.
"""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn.errors import HaltServer

from antenna.backend import Problem

# Bytes of two problems, with what backends say, and more than enough.
_MAX_SIZE = 1024 * 1024


class FirstStart:
    """What the first worker has found out. It lies in memory that the master shares with its workers."""

    def __init__(self) -> None:
        """To be made in the master, before it forks."""
        self._descriptor = os.memfd_create("first-start")

    def problems(self) -> list[Problem] | None:
        """Return what is wrong with the backends; None as long as no worker has come through."""
        content = os.pread(self._descriptor, _MAX_SIZE, 0)
        return [Problem(*problem) for problem in json.loads(content)] if content else None

    def has_come_through(self, problems: Sequence[Problem], master: int) -> None:
        """Say that a worker serves, although it has found ``problems``; the process ``master`` starts the others."""
        os.pwrite(self._descriptor, json.dumps(problems).encode("ascii"), 0)
        # The master looks after its workers when one of them ends, and then at how many there should be.
        with contextlib.suppress(ProcessLookupError):
            os.kill(master, signal.SIGCHLD)

    def let_one_go_first(self, server: Any) -> None:
        """Make gunicorn's arbiter start one worker, and the others when that one has come through."""
        wanted: int = server.num_workers
        if wanted > 1:
            server.num_workers = 1
            server.manage_workers = self._start_others(server, wanted, server.manage_workers)
        server.reap_workers = _halting_once(server.reap_workers)

    def _start_others(self, server: Any, wanted: int, manage: Callable[[], None]) -> Callable[[], None]:
        are_started = False

        def manage_workers() -> None:
            nonlocal are_started
            if not are_started and self.problems() is not None:
                are_started = True
                server.num_workers = wanted
            manage()

        return manage_workers


def _halting_once(reap: Callable[[], None]) -> Callable[[], None]:
    """Return gunicorn's ``reap_workers`` so that it halts the server once.

    It raises ``HaltServer`` for each worker that could not start. The first one stops the server, and a second one
    meanwhile would end it with a traceback and the wrong exit code.
    """
    has_halted = False

    def reap_workers() -> None:
        nonlocal has_halted
        while True:
            try:
                reap()
            except HaltServer:
                if not has_halted:
                    has_halted = True
                    raise
            else:
                return

    return reap_workers
