# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The first start of an instance: one worker checks the backends for all workers.

If every worker wrote a test object, a bucket that allows one write of an object a second would refuse some of them. And
every worker would report a start that fails. So gunicorn starts one worker alone. When it serves, it says so, and the
other workers are started. A worker that replaces another one later checks nothing, since in an outage the check would
take the server down.
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

# Characters of an error of a backend that are passed on. As JSON, a character takes up to 12 bytes.
_LONGEST_REASON = 1000
# Bytes of the shared memory. Two problems fit into it.
_SIZE = 64 * 1024


class FirstStart:
    """The result of the first worker's checks. It is kept in memory that the master shares with its workers."""

    def __init__(self) -> None:
        """Make this in the master, before it forks."""
        self._memory = mmap.mmap(-1, _SIZE)

    def problems(self) -> list[Problem] | None:
        """Return what is wrong with the backends. Returns None as long as no worker has checked them."""
        if not self._memory[0]:
            return None
        return [Problem(*problem) for problem in json.loads(self._memory[1:].rstrip(b"\0"))]

    def report_serving(self, problems: Sequence[Problem], master: int) -> None:
        """Record that a worker serves, and the ``problems`` that it has found.

        ``master`` then starts the other workers.
        """
        content = json.dumps([[backend, reason[:_LONGEST_REASON], denied] for backend, reason, denied in problems])
        self._memory[1 : 1 + len(content)] = content.encode("ascii")
        self._memory[0] = 1  # from now on, other workers read the content
        # When a child ends, the master looks how many workers there are, and starts those that are missing.
        with contextlib.suppress(ProcessLookupError):
            os.kill(master, signal.SIGCHLD)

    def let_one_go_first(self, server: Any) -> None:
        """Make gunicorn's arbiter start one worker, and the other workers when that one serves."""
        wanted: int = server.num_workers
        if wanted > 1:
            server.num_workers = 1
            server.manage_workers = self._start_others(server, wanted, server.manage_workers)
        server.reap_workers = _halting_once(server, server.reap_workers)

    def _start_others(self, server: Any, wanted: int, manage: Callable[[], None]) -> Callable[[], None]:
        are_started = False

        def manage_workers() -> None:
            nonlocal are_started
            if not are_started and self.problems() is not None:
                are_started = True
                server.num_workers = wanted
            manage()

        return manage_workers


def _halting_once(server: Any, reap: Callable[[], None]) -> Callable[[], None]:
    """Wrap gunicorn's ``reap_workers`` so that it raises ``HaltServer`` only once.

    It raises it for each worker that could not start. The first one stops the server. A second one, raised meanwhile,
    would end it with a traceback and the wrong exit code. So would one that is raised while the server stops after
    SIGTERM. The server then has no listeners any more.
    """
    has_halted = False

    def reap_workers() -> None:
        nonlocal has_halted
        while True:
            try:
                reap()
            except HaltServer:
                if server.LISTENERS and not has_halted:
                    has_halted = True
                    raise
            else:
                return

    return reap_workers
