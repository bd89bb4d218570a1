# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gunicorn's log records have the collector's format, and contain no text that a client sent."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

APP = """
def application(environ, start_response):
    if environ["PATH_INFO"] == "/broken":
        raise RuntimeError("it broke")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A gunicorn with the collector's logger."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.log = directory / "stdout"
        (directory / "someapp.py").write_text(APP)
        command = ["gunicorn", "--no-control-socket", "--logger-class", "antenna.server.logger.GunicornLogger"]
        command += ["--worker-class", "gevent", "--chdir", str(directory), "--bind", f"127.0.0.1:{self.port}"]
        with self.log.open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "someapp:application"],
                stdout=stdout,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            )
        self.stderr = directory / "stderr"

    def wait_until_serving(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self.send(b"GET / HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n")
            except OSError:
                assert time.monotonic() < deadline, self.stderr.read_text()
                time.sleep(0.05)
            else:
                return

    def send(self, request: bytes) -> None:
        """Send bytes and read until the server closes."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as connection:
            connection.sendall(request)
            while connection.recv(65536):
                pass


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    try:
        server.wait_until_serving()
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)


def test_gunicorn_logs_mozlog_without_client_addresses_and_bytes(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.send(b"GET /?annotation=forged HTTP/1.1\r\nBad Header forged: forged\r\n\r\n")
        server.send(b"GET /broken?id={forged} HTTP/1.1\r\nHost: forged\r\nAuthorization: Bearer forged\r\n\r\n")

    text = server.log.read_text()
    messages = [json.loads(line)["Fields"]["msg"] for line in text.splitlines()]
    assert any(message.startswith("Starting gunicorn") for message in messages), "of the master"
    assert any(message.startswith("Booting worker") for message in messages), "of a worker"
    assert "Invalid request: InvalidHeaderName" in messages
    assert "Error handling request" in messages
    assert "it broke" in text
    assert "forged" not in text
    assert "127.0.0.1" not in text.replace(f"Listening at: http://127.0.0.1:{server.port}", "")
    assert server.stderr.read_text() == ""
