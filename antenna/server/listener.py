# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Listening sockets: whether they can be had, and their end.

The end comes without a reset for anybody whose connection the kernel has accepted.
"""

import contextlib
import ctypes
import errno
import socket
import struct
import sys
import time
from collections.abc import Iterable

from antenna.config import ConfigurationError

# From asm-generic/socket.h; Python's socket module does not have it.
_SO_ATTACH_FILTER = 26

# Seconds for which a start waits for an address that is taken, as by a collector that is about to end.
_PATIENCE = 5.0
_POLL = 0.1

# A classic BPF program over the TCP header, as (code, jump if true, jump if false, operand); see linux/filter.h. Of the
# flags in byte 13 (RFC 9293 section 3.1), it looks at SYN (0x02) and ACK (0x10): a SYN alone asks for a new connection.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # and 0x12
    (0x15, 0, 1, 0x02),  # equal to 0x02? else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)


def refuse_new_connections(listener: socket.socket) -> None:
    """Let the kernel ignore who wants to connect, while those whose handshake has begun become connections still.

    Linux resets the connections that nobody has taken from a listening socket when it is closed. Without new ones, all
    can be taken first. A client tries again after a second, and finds the port closed, or the next server on it.
    Elsewhere than on Linux nothing happens.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN))
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # not under every sandbox
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def wait_until_free(addresses: Iterable[tuple[str, int]], seconds: float = _PATIENCE) -> None:
    """Wait until the addresses to listen on are free. Raises ``ConfigurationError`` if one of them stays taken.

    Gunicorn finds that out as well, but says so in several lines, not to Sentry, and ends with another exit code.
    """
    end = time.monotonic() + seconds
    for host, port in addresses:
        while (error := _problem_of(host, port)) is not None:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= end:
                raise ConfigurationError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
            time.sleep(_POLL)


def _problem_of(host: str, port: int) -> OSError | None:
    """Return why nothing can listen on an address, None if something can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As gunicorn does: connections of an earlier collector that linger do no harm.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None
