# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Stands in for Cloud Storage and Pub/Sub in a process of its own. It is fast, has set latencies, and keeps the books.

``python -m tests.bench.sinks PORT STORAGE_LATENCY PUBLISH_LATENCY [TLS_PORT CERTIFICATE]``, latencies in seconds. One
port takes uploads (media, multipart, resumable), the calls around them, and publishing over REST. The other one takes
the same over TLS; the file ``CERTIFICATE`` has the certificate and its key.
"""

import asyncio
import base64
import json
import re
import ssl
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from tests.bench.books import Bookkeeper

_BUFFER_SIZE = 1 << 18
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONTENT_TYPE = re.compile(rb"\r\ncontent-type: *multipart/related; *boundary=\"?([^\"\r]+)", re.IGNORECASE)


class Content:
    """An uploaded object: its size and checksum, and its bytes if they are read later."""

    def __init__(self, *, is_kept: bool) -> None:
        self._crc32c = 0
        self.size = 0
        self.bytes = bytearray()
        self._is_kept = is_kept

    def write(self, data: memoryview) -> None:
        """Add a piece."""
        self.size += len(data)
        if self._is_kept:
            self.bytes += data
        else:
            self._crc32c = google_crc32c.extend(self._crc32c, bytes(data))

    @property
    def crc32c(self) -> int:
        """The checksum of the bytes."""
        if self._is_kept:
            checksum: int = google_crc32c.value(bytes(self.bytes))
            return checksum
        return self._crc32c


class Sinks:
    """The state that all connections share."""

    def __init__(self, port: int, storage_latency: float, publish_latency: float, *tls: str) -> None:
        """``tls`` are a port for TLS and the file of its certificate, if there is to be one."""
        self.port = port
        self.storage_latency = storage_latency
        self.publish_latency = publish_latency
        self._tls = tls
        self.books = Bookkeeper()
        self.buffer = memoryview(bytearray(_BUFFER_SIZE))
        self.resumable: dict[str, str] = {}

    async def serve(self) -> None:
        """Serve until the process is killed."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, backlog=2048)
        if self._tls:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self._tls[1])
            await loop.create_server(lambda: Connection(self), "127.0.0.1", int(self._tls[0]), backlog=2048, ssl=tls)
        await server.serve_forever()


class Connection(asyncio.BufferedProtocol):
    """A connection of a collector: HTTP/1.1, a Content-Length with every body, one request at a time."""

    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._left = 0
        self._content = Content(is_kept=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the one buffer: what is received is consumed at once."""
        return self._sinks.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came in."""
        data = self._sinks.buffer[:nbytes]
        if not self._left:
            head, end, rest = (self._head + bytes(data)).partition(b"\r\n\r\n")
            self._head = head
            if not end:
                return
            length = _CONTENT_LENGTH.search(head)
            self._left = int(length[1]) if length else 0
            self._content = Content(is_kept=b"uploadType=media" not in head or b"dump_names" in head)
            data = memoryview(rest)
        self._content.write(data)
        self._left -= len(data)
        if not self._left:
            head, self._head = self._head, b""
            self._handle(head, self._content)

    def _handle(self, head: bytes, content: Content) -> None:
        """Find out what is asked for, and answer it when its time has come."""
        target = head.split(b" ", 2)[1]
        url = urlsplit(target.decode("ascii"))
        if url.path.startswith("/upload/"):
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._later(self._sinks.storage_latency, lambda: self._upload(head, query, content))
        elif url.path.endswith(":publish"):
            ids = [base64.b64decode(message["data"]).decode() for message in json.loads(content.bytes)["messages"]]
            self._later(self._sinks.publish_latency, lambda: self._publish(ids))
        elif url.path == "/books":
            self._answer(asdict(self._sinks.books.close()))
        else:
            # The answer is a topic, a bucket, or an empty list of objects.
            self._answer({"kind": "storage#objects"} if url.path.endswith("/o") else {"name": unquote(url.path[4:])})

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, action)
        else:
            action()

    def _publish(self, ids: list[str]) -> None:
        self._sinks.books.published(ids)
        self._answer({"messageIds": [str(number) for number, _ in enumerate(ids)]})

    def _upload(self, head: bytes, query: dict[str, str], content: Content) -> None:
        kind = query.get("uploadType")
        if kind == "resumable" and not head.startswith(b"PUT"):
            name = query.get("name") or json.loads(content.bytes)["name"]
            upload_id = str(len(self._sinks.resumable))
            self._sinks.resumable[upload_id] = name
            location = f"http://127.0.0.1:{self._sinks.port}/upload/o?uploadType=resumable&upload_id={upload_id}"
            self._answer({}, f"Location: {location}\r\n")
            return
        if kind == "resumable":
            name = self._sinks.resumable[query["upload_id"]]
        elif kind == "multipart":
            name, content = _related(head, content)
        else:
            name = query["name"]
        resource = _resource(name, content)
        self._sinks.books.uploaded(name, resource["crc32c"], bytes(content.bytes))
        self._answer(resource)

    def _answer(self, media: dict[str, Any], headers: str = "") -> None:
        body = json.dumps(media).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        if self._transport and not self._transport.is_closing():
            self._transport.write(head.encode() + body)


def _related(head: bytes, content: Content) -> tuple[str, Content]:
    """Take a multipart upload apart: its first part says the name, its second is the object."""
    boundary = _CONTENT_TYPE.search(head)
    assert boundary
    _, metadata, media, _ = bytes(content.bytes).split(b"--" + boundary[1])
    upload = Content(is_kept=True)
    upload.write(memoryview(media.partition(b"\r\n\r\n")[2][:-2]))
    return json.loads(metadata.partition(b"\r\n\r\n")[2])["name"], upload


def _resource(name: str, content: Content) -> dict[str, Any]:
    crc32c = base64.b64encode(content.crc32c.to_bytes(4, "big")).decode()
    return {
        "kind": "storage#object",
        "name": name,
        "bucket": "crashes",
        "generation": "1",
        "metageneration": "1",
        "size": str(content.size),
        "crc32c": crc32c,
    }


if __name__ == "__main__":
    asyncio.run(Sinks(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]).serve())
