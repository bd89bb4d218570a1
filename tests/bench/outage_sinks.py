# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sinks that go away and come back: ``python -m tests.bench.outage_sinks PORT STORAGE_LATENCY PUBLISH_LATENCY``.

After SIGUSR1 they refuse connections and reset those that are open. After SIGUSR2 they serve again. SIGSTOP makes them
hang, until SIGCONT.
"""

import asyncio
import signal
import sys

from tests.bench.sinks import Connection, Sinks


class OutageSinks(Sinks):
    """Sinks with a switch."""

    def __init__(self, port: int, storage_latency: float, publish_latency: float) -> None:
        super().__init__(port, storage_latency, publish_latency)
        self.transports: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def serve(self) -> None:
        """Serve until the process is killed."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._go_away)
        loop.add_signal_handler(signal.SIGUSR2, lambda: asyncio.ensure_future(self._come_back()))
        await self._come_back()
        await asyncio.Event().wait()

    async def _come_back(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=2048)

    def _go_away(self) -> None:
        if self._server is not None:
            self._server.close()
        for transport in list(self.transports):
            transport.abort()


class _Connection(Connection):
    def __init__(self, sinks: OutageSinks) -> None:
        super().__init__(sinks)
        self._transports = sinks.transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._transports.add(transport)
        self._own = transport

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._transports.discard(self._own)


if __name__ == "__main__":
    asyncio.run(OutageSinks(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])).serve())
