# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.
"""Measures the cost of one request in this process, on Linux.

The cost is CPU, memory, and the longest time during which the hub has no turn. The hub's time is CPU time as well, so
that other work on the machine does not count.
"""

import contextlib
import ctypes
import gc
import time
from dataclasses import dataclass
from pathlib import Path

import gevent
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser

from antenna.hub import Turn, pread, put_together
from antenna.payload.body import RequestBody
from antenna.payload.gunzip import Gunzip
from antenna.refusal import Refusal
from antenna.server.allocator import keep_freed_memory
from antenna.server.framed_body import FramedBody
from tests.fuzz.targets import environ_of, gunicorn_config, reader, throttler
from tests.support.wire import Wire

MIB = 1024 * 1024
#: What no request may cost: seconds of CPU beyond those for inflating, bytes, seconds that the hub stands still.
CPU, MEMORY, HUB = 1.0, 64 * MIB, 0.25
#: Seconds that it may cost to inflate, hash and store a byte.
SECONDS_A_BYTE = 1.0 / (100 * MIB)
_RECEIVED = 65536


@dataclass(frozen=True)
class Cost:
    """The cost of a request. Each number is a share of the allowed cost, so more than 1 is too much."""

    cpu: float
    memory: float
    hub: float
    wire_size: int
    answer: str

    def __str__(self) -> str:
        """Return a line for people."""
        return (
            f"{self.wire_size:,} bytes on the wire: {self.cpu:.0%} of the CPU, {self.memory:.0%} of the memory and "
            f"{self.hub:.0%} of the time of the hub that a request may cost; {self.answer}"
        )


def measure(request: bytes) -> Cost:
    """Handle a request as the collector does, up to its raw crash."""
    keep_freed_memory()  # as a worker does
    gc.collect()
    with contextlib.suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins now: see proc(5)
    handling = gevent.spawn(_handle, request)
    begun, last, longest = time.process_time(), time.thread_time(), 0.0
    while not handling.ready():
        gevent.sleep(0.0002)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    cpu = time.process_time() - begun
    allowed = CPU if cpu <= CPU else CPU + _inflated_size(request) * SECONDS_A_BYTE
    return Cost(
        cpu=cpu / allowed,
        memory=(_memory("VmHWM") - before) / MEMORY,
        hub=longest / HUB,
        wire_size=len(request),
        answer=handling.get(),
    )


def _inflated_size(request: bytes) -> int:
    """Return the size of the body after decompression, as far as it is decompressed."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"Content-Encoding: gzip" not in head or b"Transfer-Encoding" in head:
        return len(body)
    size = 0
    with contextlib.suppress(Refusal):
        for piece in Gunzip([body], max_size=200 * MIB):
            size += len(piece)
    return size


def _handle(request: bytes) -> str:
    parser = RequestParser(gunicorn_config(), Wire(request, iter(lambda: _RECEIVED, 0)), ("127.0.0.1", 1))
    try:
        head = next(parser)
    except (ParseException, NoMoreData) as error:
        return type(error).__name__
    body = FramedBody(head)
    environ = environ_of(head)
    payload_reader = reader(tiny=False)
    try:
        report = payload_reader.read(
            environ, RequestBody(body, int(environ.get("CONTENT_LENGTH") or 0), payload_reader.limits)
        )
    except Refusal as error:
        return ": ".join(map(str, error.args))
    with report:
        _, report.throttle_rule, _ = throttler().throttle(report.annotations)
        turn = Turn()
        for dump in report.dumps.values():
            for _ in dump.pieces(pread):
                turn.pass_on()
        size = len(put_together(report.raw_crash_pieces()))
        return f"{report.throttle_rule}, a raw crash of {size:,} bytes"


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
