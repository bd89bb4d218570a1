# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A collector under supervision: whenever it ends, it is started again, as container platforms do."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.programs import children_of, free_port
from tests.support.server import AntennaServer

_POLL = 0.05
# Seconds that a start may take. It waits for backends that hang.
_START_SECONDS = 40.0


class SupervisedCollector:
    """A collector on one port, started again and again until the ``with`` block ends."""

    def __init__(self, environment: Mapping[str, str], directory: Path, chance: random.Random) -> None:
        """``chance`` picks the worker that is killed."""
        self.port = free_port()
        self._environment = environment
        self._directory = directory
        self._chance = chance
        self._stopped = threading.Event()
        self._server = self._start()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self.exit_codes: list[int] = []
        self.starts = 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._server.kill()

    def wait_until_serving(self) -> None:
        """Return when the collector serves, however often it has been started."""
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_serving():
            assert time.monotonic() < deadline, f"does not serve:\n{self.logs()}"
            time.sleep(_POLL)

    def is_serving(self) -> bool:
        """Whether the collector answers the load balancer's heartbeat."""
        return self._server.is_serving()

    def kill(self, victim: str) -> None:
        """Send SIGKILL to a ``worker``, all ``workers``, the ``master``, or ``all``."""
        workers = _children(self._server.pid)
        if victim == "all":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            return
        if victim == "worker":
            workers = workers and [self._chance.choice(workers)]
        for pid in [self._server.pid] if victim == "master" else workers:
            _signal(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGTERM to the master. It ends cleanly, and is started again."""
        _signal(self._server.pid, signal.SIGTERM)

    def retire(self) -> None:
        """Send SIGTERM to a worker. The master starts another worker."""
        if workers := _children(self._server.pid):
            _signal(self._chance.choice(workers), signal.SIGTERM)

    def end(self) -> int:
        """Send SIGTERM, do not start again, and return the exit code."""
        self._stopped.set()
        self._thread.join()
        return self._server.stop() if self._server.is_running else self._server.wait()

    def logs(self) -> str:
        """Return the logs of all its starts."""
        return self._server.logs()

    def open_files(self) -> list[str]:
        """Return the files that its workers have open, as /proc names them."""
        names = []
        for worker in _children(self._server.pid):
            for link in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(OSError):
                    names.append(str(link.readlink()))
        return names

    def _start(self) -> AntennaServer:
        return AntennaServer(self._environment, self._directory, port=self.port)

    def _supervise(self) -> None:
        while not self._stopped.wait(_POLL):
            if not self._server.is_running:
                self.exit_codes.append(self._server.wait())
                self._server = self._start()
                self.starts += 1


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return children_of(pid)
    return []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
