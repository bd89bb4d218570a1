# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A receiver of webhooks that behaves as it is told."""

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Behaviours that answer with success.
_TAKEN = {"200", "204", "endless"}


class Receiver:
    """An HTTP server: each POST gets the next of ``behaviours``, and 200 when there are no more."""

    def __init__(self, *behaviours: str) -> None:
        self.behaviours = list(behaviours)
        #: Seconds that an answer with a status asks to wait.
        self.retry_after = 7
        #: What came: behaviour, headers and body.
        self.received: list[tuple[str, dict[str, str], Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                behaviour = receiver.behaviours.pop(0) if receiver.behaviours else "200"
                receiver.received.append((behaviour, dict(self.headers), body))
                receiver.behave(behaviour, self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._is_closed = threading.Event()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its URL, which holds a secret as those of chats do."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks/secret-path"

    def taken(self) -> list[Any]:
        """Return the bodies that were answered with success."""
        return [body for behaviour, _, body in self.received if behaviour in _TAKEN]

    def taken_once(self) -> list[Any]:
        """Return the same, but each message once: one that comes again has the same key."""
        taken = {headers["Idempotency-Key"]: body for behaviour, headers, body in self.received if behaviour in _TAKEN}
        return list(taken.values())

    def behave(self, behaviour: str, handler: BaseHTTPRequestHandler) -> None:
        """Answer a POST."""
        connection = handler.connection
        if behaviour.isdecimal():
            handler.send_response(int(behaviour))
            handler.send_header("Retry-After", str(self.retry_after))
            handler.send_header("Location", self.url)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif behaviour == "hang":
            self._is_closed.wait(10)
        elif behaviour == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        elif behaviour == "nonsense":
            connection.sendall(b"\xff\xfenonsense\r\n\r\n")
        elif behaviour == "endless":
            # Success, and then a body that never ends.
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            self._drip(connection, b"x" * 65536)
        elif behaviour == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            self._drip(connection, b"x")

    def _drip(self, connection: socket.socket, piece: bytes) -> None:
        began = time.monotonic()
        try:
            while time.monotonic() - began < 60 and not self._is_closed.wait(0.05):
                connection.sendall(piece)
        except OSError:  # the client has gone
            return

    def close(self) -> None:
        """Stop."""
        self._is_closed.set()
        self._server.shutdown()
        self._server.server_close()
