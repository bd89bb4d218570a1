# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The web server of the viewer. It is gevent's, with limits on the time that a client may take."""

from typing import Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

# Connections at a time. Further ones wait until one of them ends.
_CONNECTIONS = 256
# Seconds for which a client may send nothing, within a request or between two of them. Then the connection is closed.
_SILENCE = 30.0
# Seconds that one request may take in all, such as the download of a dump of 25 MB over a slow line. Then it is closed.
_REQUEST = 300.0


class Handler(WSGIHandler):
    """Serves one connection, and closes it if the client is silent or takes too long."""

    silence, request_time = _SILENCE, _REQUEST

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        """``sock`` is the connection."""
        sock.settimeout(self.silence)
        super().__init__(sock, *args, **kwargs)

    def handle_one_request(self) -> Any:
        """Serve a request. gevent closes the connection if this returns None."""
        try:
            with gevent.Timeout(self.request_time):
                return super().handle_one_request()
        except gevent.Timeout:
            return None

    def read_request(self, raw_requestline: str) -> Any:
        """Read the headers. If this returns False, gevent answers with 400."""
        try:
            return super().read_request(raw_requestline)
        except OSError:  # the client is silent or gone
            return False


def make_server(host: str, port: int, app: Any) -> WSGIServer:
    """Return a server that has not been started."""
    return WSGIServer((host, port), app, log=None, spawn=Pool(_CONNECTIONS), handler_class=Handler)


def url_of(host: str, port: int) -> str:
    """Return the URL to open in a browser."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
