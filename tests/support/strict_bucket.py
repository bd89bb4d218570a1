# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A bucket that refuses requests which Google's buckets refuse and emulators accept, and that can lose answers.

The answers are those that Google documents: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

_RETENTION = (403, "retentionPolicyNotMet", "Object is subject to bucket's retention policy and cannot be overwritten")
_HOLD = (403, "objectUnderActiveHold", "Object is under active Temporary hold and cannot be overwritten")
_NO_DELETE = (403, "forbidden", "antenna@test does not have storage.objects.delete access to the object")
_NO_CREATE = (403, "forbidden", "antenna@test does not have storage.objects.create access to the bucket")
_NO_GET = (403, "forbidden", "antenna@test does not have storage.objects.get access to the object")
_RATE = (429, "rateLimitExceeded", "The object exceeded the rate limit for object mutation operations")
_PRECONDITION = (412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

REFUSALS = {"retention": _RETENTION, "hold": _HOLD, "no delete": _NO_DELETE, "precondition": _PRECONDITION}


class StrictBucket:
    """Takes one write of a name in a second. With a ``refusal``, it takes only the first. It is a context manager."""

    def __init__(self, refusal: str | None = None) -> None:
        """``refusal`` is a key of ``REFUSALS``: the reason why an existing object is not replaced.

        With None it is replaced.
        """
        self.refusal = refusal
        self.is_rate_limited = True
        self.may_create = True
        self.may_read = True
        self.lost_answers = 0
        """The number of uploads, from the next one, that are stored and not answered."""
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.lock = threading.Lock()
        self.written: dict[str, float] = {}
        handler = type("Handler", (_Handler,), {"bucket": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def refuse(self, name: str) -> tuple[int, str, str] | None:
        """Return the reason why an upload is refused, or None."""
        if not self.may_create:
            return _NO_CREATE
        if self.refusal is not None and name in self.objects:
            return REFUSALS[self.refusal]
        if self.is_rate_limited and time.monotonic() - self.written.get(name, -1.0) < 1:
            return _RATE
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: StrictBucket

    def do_GET(self) -> None:
        path, _, name = urlsplit(self.path).path.partition("/o/")
        content = self.bucket.objects.get(unquote(name))
        if path.endswith("/iam/testPermissions"):
            self._answer_permissions()
        elif not name:
            self._answer(200, {"kind": "storage#objects"})
        elif not self.bucket.may_read:
            self._refuse(*_NO_GET)
        elif content is None:
            self._refuse(404, "notFound", f"No such object: {path}")
        else:
            self._answer(200, {"crc32c": checksum(content)})

    def _answer_permissions(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)["permissions"]
        media: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
        if self.bucket.may_create:
            media["permissions"] = asked
        self._answer(200, media)

    def do_POST(self) -> None:
        name = parse_qs(urlsplit(self.path).query)["name"][0]
        content = self.rfile.read(int(self.headers["Content-Length"]))
        with self.bucket.lock:
            self.bucket.uploads.append(name)
            refusal = self.bucket.refuse(name)
            if refusal is None:
                self.bucket.objects[name] = content
                self.bucket.written[name] = time.monotonic()
            is_lost = self.bucket.lost_answers > 0
            self.bucket.lost_answers -= is_lost
        if is_lost:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif refusal is not None:
            self._refuse(*refusal)
        else:
            self._answer(200, {"name": name, "crc32c": checksum(content)})

    def _refuse(self, status: int, reason: str, message: str) -> None:
        error = {"message": message, "domain": "global", "reason": reason}
        self._answer(status, {"error": {"code": status, "message": message, "errors": [error]}})

    def _answer(self, status: int, media: dict[str, Any]) -> None:
        body = json.dumps(media).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def checksum(content: bytes) -> str:
    """Return the CRC32C of bytes in the form that Google uses."""
    digest: bytes = google_crc32c.Checksum(content).digest()
    return base64.b64encode(digest).decode()
