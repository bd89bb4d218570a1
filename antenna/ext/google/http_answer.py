# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Answers of HTTP/1.1 servers (RFC 9112), read off a socket.

For many small answers: http.client parses headers as those of a mail, which takes ten times the CPU of the rest.
"""

import http.client
import re
import socket
from dataclasses import dataclass
from http import HTTPStatus

from antenna.chunks import BadChunks, Chunks
from antenna.limits import MAX_CHUNK_FRAMING, MAX_CHUNK_HEAD

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)

_READ_SIZE = 64 * 1024
_MAX_HEAD_SIZE = 64 * 1024
# Answers are JSON objects of some 100 bytes, or error pages.
_MAX_SIZE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. After the last one the connection cannot be used again."""

    status: int
    data: bytes
    is_last: bool


def read_answer(connection: socket.socket) -> Answer:
    """Read the answer to the one request that was sent.

    Raises ``http.client.RemoteDisconnected`` if there is none, other ``http.client.HTTPException`` if it is broken,
    ``OSError``.
    """
    head, rest = _read_head(connection, b"")
    while (status := _status(head)) < HTTPStatus.OK:  # interim answers, such as 103 (RFC 9110 section 15.2)
        head, rest = _read_head(connection, rest)
    is_last = head.startswith(b"HTTP/1.0") or _CLOSE.search(head) is not None
    if _CHUNKED.search(head):
        data, beyond = _read_chunks(connection, rest)
    elif length := _LENGTH.search(head):
        data, beyond = _read_length(connection, rest, int(length[1]))
    else:
        data, beyond, is_last = _read_all(connection, rest), b"", True
    return Answer(status, data, is_last or bool(beyond))


def _read_head(connection: socket.socket, rest: bytes) -> tuple[bytes, bytes]:
    """Return the head of an answer with its last line break, and what has come after it."""
    while b"\r\n\r\n" not in rest:
        data = connection.recv(_READ_SIZE)
        if not data:
            raise http.client.RemoteDisconnected("the connection was closed instead of an answer")
        rest += data
        if len(rest) > _MAX_HEAD_SIZE:
            raise http.client.HTTPException("the head of the answer is too long")
    head, _, rest = rest.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def _status(head: bytes) -> int:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise http.client.BadStatusLine(repr(head[:100]))
    return int(line[2])


def _read_length(connection: socket.socket, data: bytes, length: int) -> tuple[bytes, bytes]:
    while len(data) < length:
        data += _receive(connection, data)
    return data[:length], data[length:]


def _read_chunks(connection: socket.socket, rest: bytes) -> tuple[bytes, bytes]:
    chunks = Chunks(max_head_size=MAX_CHUNK_HEAD, max_framing_size=MAX_CHUNK_FRAMING)
    data = beyond = b""
    try:
        while True:
            content, beyond = chunks.feed(rest)
            data += content
            if chunks.ended:
                return data, beyond
            rest = _receive(connection, data)
    except BadChunks as error:
        raise http.client.HTTPException("the chunks of the answer are broken") from error


def _read_all(connection: socket.socket, data: bytes) -> bytes:
    while more := connection.recv(_READ_SIZE):
        data += more
        if len(data) > _MAX_SIZE:
            raise http.client.HTTPException("the answer is too long")
    return data


def _receive(connection: socket.socket, so_far: bytes) -> bytes:
    if len(so_far) > _MAX_SIZE:
        raise http.client.HTTPException("the answer is too long")
    data = connection.recv(_READ_SIZE)
    if not data:
        raise http.client.IncompleteRead(so_far)
    return data
