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
import mmap
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn.errors import HaltServer

from antenna.backend import Problem

# Characters of what a backend says that are passed on. Each takes up to 12 bytes, as JSON.
_LONGEST_REASON = 1000
# Bytes: enough for two problems.
_SIZE = 64 * 1024


class FirstStart:
    """What the first worker has found out. It lies in memory that the master shares with its workers."""

    def __init__(self) -> None:
        """To be made in the master, before it forks."""
        self._memory = mmap.mmap(-1, _SIZE)

    def problems(self) -> list[Problem] | None:
        """Return what is wrong with the backends; None as long as no worker has come through."""
        if not self._memory[0]:
            return None
        return [Problem(*problem) for problem in json.loads(self._memory[1:].rstrip(b"\0"))]

    def has_come_through(self, problems: Sequence[Problem], master: int) -> None:
        """Say that a worker serves, although it has found ``problems``; the process ``master`` starts the others."""
        content = json.dumps([[backend, reason[:_LONGEST_REASON], denied] for backend, reason, denied in problems])
        self._memory[1 : 1 + len(content)] = content.encode("ascii")
        self._memory[0] = 1  # others may read now
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
