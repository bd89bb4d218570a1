# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the operating system tells of a socket."""

import fcntl
import socket
import struct
import termios


def unread_bytes(connection: socket.socket) -> int:
    """Return how many bytes have arrived on ``connection`` that nobody has read yet."""
    count: int = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]
    return count
