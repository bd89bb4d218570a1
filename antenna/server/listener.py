# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Closes a listening socket without a reset for clients whose connections the kernel has already accepted."""

import contextlib
import ctypes
import socket
import struct
import sys

# This constant is from asm-generic/socket.h. Python's socket module does not have it.
_SO_ATTACH_FILTER = 26

# A classic BPF program over the TCP header, as (code, jump if true, jump if false, operand); see linux/filter.h. It
# looks at two of the flags in byte 13 (RFC 9293 section 3.1), SYN (0x02) and ACK (0x10). A SYN without an ACK asks for
# a new connection.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # and 0x12
    (0x15, 0, 1, 0x02),  # equal to 0x02? else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)


def refuse_new_connections(listener: socket.socket) -> None:
    """Make the kernel ignore new clients, while handshakes that have begun still become connections.

    When a listening socket is closed, Linux resets the connections that the server has not accepted from it. If no new
    ones arrive, a worker can first accept all of them. A new client tries again after a second. Then it finds the port
    closed, or the next server on it. On other systems than Linux this does nothing.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN))
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # not under every sandbox
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
