# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends metrics to statsd in Datadog's protocol, which is that of statsd with tags.

A crash emits about ten metrics, so this only looks up the line of a metric and puts the value in. Datadog's own client,
with its buffer, its background sender and no telemetry, takes several times as long.

UDP packets may be lost without an error. But if no program receives them, the host may refuse them, and the system
reports that on the socket a moment later. So ``metrics_dropped`` counts the metrics that could not be sent, and those
that were sent in the fifth of a second before the host refused a packet. It cannot count the others.
"""

import atexit
import logging
import os
import socket
import threading
import time
from collections import deque
from typing import Any

import markus
from markus.backends import BackendBase
from markus.main import MetricsRecord

from antenna.hub import run_blocking
from antenna.ops.mozilla import MozillaNames

logger = logging.getLogger(__name__)
own_metrics = markus.get_metrics("")

# Metrics that may wait for the next packet, or until the name of the statsd host resolves. If there are more, the
# oldest are dropped.
MAX_WAITING = 20_000
# Most bytes in a packet. They fit into an Ethernet frame on every path, so that no packet is split.
MAX_PACKET_SIZE = 1432
# Seconds between two packets, unless one is full before.
_INTERVAL = 0.2
# Seconds after a failure until statsd is tried again.
_PAUSE = 1.0
# Seconds after which the name of the host is looked up again, because the daemon may have moved. Packets to an address
# that is no longer in use are lost without an error.
_LOOK_UP_AGAIN = 30.0
# Seconds between two warnings while statsd is away.
_QUIET = 60.0
# Seconds that the process waits at its end for the last packets to be sent.
_FINAL_FLUSH_TIMEOUT = 1.0

# The metric that counts the metrics that were dropped here.
_DROPPED = "metrics_dropped"
_CAUSE = "cause:statsd"

_TYPES = {"incr": "c", "gauge": "g", "timing": "ms", "histogram": "h"}
# This character stands for the value in the template of a line.
_VALUE = "\0"
# Templates that are kept. If there are more, all are forgotten. There are some hundred, unless a plugin emits metrics
# with ever new tags.
_MOST_TEMPLATES = 4096


class StatsdMetrics(BackendBase):  # type: ignore[misc]  # markus comes without types
    """Gathers metrics into packets, and sends them from a thread of its own.

    So a crash waits neither for a lock nor until the name of the statsd host resolves.
    """

    def __init__(self, options: dict[str, Any], filters: list[Any]) -> None:
        """``options`` has ``statsd_host``, ``statsd_port``, ``statsd_namespace`` and ``mozilla_names``."""
        super().__init__(options=options, filters=filters)
        self._address: tuple[str, int] = (options["statsd_host"], options["statsd_port"])
        self._mozilla: MozillaNames | None = options.get("mozilla_names")
        namespace = options["statsd_namespace"]
        self._prefix = f"{namespace}." if namespace else ""
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self._socket: socket.socket | None = None
        self._flush = threading.Event()
        self._flushed = threading.Event()
        self._quiet_until = 0.0
        self._not_before = 0.0
        self._looked_up = 0.0
        # The templates of the lines that are sent for a metric, by its type, name and tags as they are emitted.
        self._templates: dict[tuple[str, ...], list[str]] = {}
        # Metrics that were dropped, of which no backend has been told yet.
        self._dropped = 0
        # Metrics in packets that the host may still refuse.
        self._unconfirmed = 0
        # Dropped metrics of which statsd has not been told, and how many of them are in a packet that may be refused.
        self._untold = 0
        self._told = 0
        self._line_of_dropped = self._templates_for(MetricsRecord("incr", _DROPPED, _VALUE, [_CAUSE]))
        threading.Thread(target=self._send_regularly, daemon=True).start()
        # Under gevent, a native thread resolves the host's name. This starts one now, because Python 3.12 starts none
        # at its end.
        run_blocking(time.monotonic)
        atexit.register(self.flush)

    def emit_to_backend(self, record: MetricsRecord) -> None:
        """Take a metric. The filters see it only when it comes for the first time with its tags."""
        key = (record.stat_type, record.key, *record.tags)
        templates = self._templates.get(key)
        if templates is None:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            # Dropped metrics are told by the thread, again and again until that succeeds.
            is_own = record.key == _DROPPED and _CAUSE in record.tags
            templates = self._templates[key] = [] if is_own else self._templates_for(record)
        for template in templates:
            if len(self._waiting) == MAX_WAITING:
                self._dropped += 1
            self._waiting.append(template.replace(_VALUE, str(record.value)))

    def _templates_for(self, record: MetricsRecord) -> list[str]:
        """Return the lines to send for metrics with the name and tags of ``record``. Each has a place for the value."""
        filtered = self._filter(MetricsRecord(record.stat_type, record.key, _VALUE, record.tags))
        if filtered is None:
            return []
        name = f"{self._prefix}{record.key}"
        if self._mozilla is None:
            return [_line(name, filtered)]
        lines = [_line(theirs.key, theirs) for theirs in self._mozilla.translate(filtered)]
        return lines if name in self._mozilla.names else [*lines, _line(name, filtered)]

    def flush(self) -> None:
        """Send the metrics that wait, unless that takes too long."""
        self._flushed.clear()
        self._flush.set()
        self._flushed.wait(_FINAL_FLUSH_TIMEOUT)

    def _send_regularly(self) -> None:
        while True:
            self._flush.wait(_INTERVAL)
            self._flush.clear()
            self._confirm()
            self._send()
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._untold += dropped
                own_metrics.incr(_DROPPED, dropped, tags=[_CAUSE])
            if not self._flush.is_set():  # if it is set, metrics may have come after the last packet
                self._flushed.set()

    def _send(self) -> None:
        packet = bytearray()
        while self._waiting:
            line = self._waiting.popleft().encode("ascii", "replace")
            if packet and len(packet) + 1 + len(line) > MAX_PACKET_SIZE:
                self._send_counted(packet)
                packet = bytearray()
            if packet:
                packet += b"\n"
            packet += line
        if packet:
            self._send_counted(packet)
        if self._untold:
            told = self._untold
            for template in self._line_of_dropped:
                if self._send_packet(template.replace(_VALUE, str(told)).encode("ascii", "replace")):
                    self._told = told

    def _confirm(self) -> None:
        """Find out whether the host has refused one of the last packets. If it has, their metrics are lost."""
        refusal = 0 if self._socket is None else self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refusal:
            self._fail(OSError(refusal, os.strerror(refusal)))
        self._untold -= self._told
        self._told = self._unconfirmed = 0

    def _send_counted(self, packet: bytearray) -> None:
        """Send a packet, and count its metrics: as dropped if that fails."""
        count = packet.count(b"\n") + 1
        if self._send_packet(packet):
            self._unconfirmed += count
        else:
            self._dropped += count

    def _send_packet(self, packet: bytes | bytearray) -> bool:
        """Send a packet. Returns whether it was sent."""
        if self._socket is None and time.monotonic() < self._not_before:
            return False
        try:
            self._connected().send(packet)
        # UnicodeError: the host's name is not valid, so nothing can be sent to it.
        except (OSError, UnicodeError) as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        """Count the metrics of earlier packets as dropped, too: the error may be the host's refusal of these."""
        self._dropped += self._unconfirmed
        self._unconfirmed = self._told = 0
        self._forget_socket()
        self._warn(error)

    def _connected(self) -> socket.socket:
        """Return a socket to the current address of the host. Raises ``OSError`` and ``UnicodeError``."""
        before, now = self._socket, time.monotonic()
        if before is not None and now - self._looked_up < _LOOK_UP_AGAIN:
            return before
        self._looked_up = now
        try:
            self._socket = _connect(self._address)
        except (OSError, UnicodeError):
            if before is None:
                raise
            # Perhaps only the name server is away, so the old address is used.
            return before
        if before is not None:
            before.close()
        return self._socket

    def _forget_socket(self) -> None:
        """Close the socket. The host's name is resolved again after a while, because the host may have moved."""
        self._not_before = time.monotonic() + _PAUSE
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _warn(self, error: Exception) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            host, port = self._address
            logger.warning("metrics are lost: cannot send them to statsd at %s:%s: %s", host, port, error)


def _line(name: str, record: MetricsRecord) -> str:
    tags = f"|#{','.join(record.tags)}" if record.tags else ""
    return f"{name}:{record.value}|{_TYPES[record.stat_type]}{tags}"


def _connect(address: tuple[str, int]) -> socket.socket:
    """Return a socket to the first address that can be reached. Raises ``OSError`` and ``UnicodeError``."""
    found = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)
    # Daemons often listen on IPv4 only. A packet to the IPv6 address of the same name would be lost without an error.
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    error: OSError | None = None
    for family, kind, protocol, _, target in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.connect(target)
        except OSError as no_way:
            connection.close()
            error = no_way
        else:
            return connection
    raise error or OSError("no address")
