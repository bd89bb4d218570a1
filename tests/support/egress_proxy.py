# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An HTTP proxy such as companies have between their network and the internet.

It opens tunnels and forwards requests.
"""

import contextlib
import select
import socket
import ssl
import threading
from typing import Self
from urllib.parse import urlsplit

_PIECE = 64 * 1024


class EgressProxy:
    """Takes ``CONNECT`` and absolute URLs, and connects to this machine, whatever the host name is.

    It is a context manager.
    """

    def __init__(self, *, authorization: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port. With ``authorization``, requests without that value of the header are refused."""
        self.request_lines: list[str] = []
        self._authorization = authorization
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            with client:
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(_PIECE)
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        self.request_lines.append(line.decode("latin-1"))
        if self._authorization and f"Proxy-Authorization: {self._authorization}".encode() not in rest.split(b"\r\n"):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        method, target, version = line.split(b" ")
        url = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        with socket.create_connection(("127.0.0.1", url.port or 80)) as server:
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = f"{url.path}?{url.query}".encode()
                server.sendall(b"%s %s %s\r\n%s" % (method, path, version, rest))
            _exchange(client, server)


def _exchange(client: socket.socket, server: socket.socket) -> None:
    """Forward bytes in both directions until one side closes its connection."""
    others = {client: server, server: client}
    while True:
        waiting = isinstance(client, ssl.SSLSocket) and client.pending()
        readable = [client] if waiting else select.select(list(others), [], [])[0]
        for source in readable:
            data = source.recv(_PIECE)
            if not data:
                return
            others[source].sendall(data)
