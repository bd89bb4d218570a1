# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The end of a listening socket, without a reset for anybody whose connection the kernel has accepted."""

import contextlib
import ctypes
import socket
import struct
import sys

# From asm-generic/socket.h; Python's socket module does not have it.
_SO_ATTACH_FILTER = 26

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
    """Have the kernel ignore new clients, while handshakes that have begun still become connections.

    When a listening socket is closed, Linux resets the connections that nobody has accepted from it. Without new ones,
    a worker can accept all of them first. A new client tries again after a second, and finds the port closed, or the
    next server on it.
    Elsewhere than on Linux nothing happens.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN))
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # not under every sandbox
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
