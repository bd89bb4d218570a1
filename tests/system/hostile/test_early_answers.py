# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A client gets a refusal even while it is still sending."""

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.support.reports import BOUNDARY, chunked
from tests.support.watch import MIB, Target

HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
# More than BREAKPAD_MAX_PAYLOAD_SIZE, by so much that a client has to wait with the rest until somebody reads it.
SIZE = 40_000_000


def head(framing: str) -> bytes:
    return f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {HEADERS['Content-Type']}\r\n{framing}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "dump"
    path.touch()
    os.truncate(path, SIZE)
    return path


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"], ["--http1.0"]])
def test_curl(target: Target, large_file: Path, options: list[str]) -> None:
    curl = shutil.which("curl")
    assert curl is not None, "install curl, which is one of the clients that are promised to see their answer"
    form = ["-F", f"upload_file_minidump=@{large_file}"]

    done = subprocess.run(
        [curl, "-sS", "-w", " %{http_code}", *options, *form, f"{target.server.url}/submit"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stdout == "Discarded=malformed_too_large 413", done.stderr


@pytest.mark.parametrize("has_length", [True, False])
def test_http_client(target: Target, has_length: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.server.port, timeout=30)
    body = (bytes(100_000) for _ in range(SIZE // 100_000))
    headers = HEADERS | ({"Content-Length": str(SIZE)} if has_length else {})
    connection.request("POST", "/submit", body, headers, encode_chunked=not has_length)
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (413, b"Discarded=malformed_too_large")
    connection.close()


@pytest.mark.parametrize(
    ("framing", "chunk_size"),
    [
        pytest.param(f"Content-Length: {SIZE}", None, id="length"),
        pytest.param("Transfer-Encoding: chunked", 16384, id="chunked"),
        pytest.param("Transfer-Encoding: chunked\r\nContent-Encoding: br", MIB, id="other reason"),
    ],
)
def test_socket_that_reads_only_when_all_is_sent(target: Target, framing: str, chunk_size: int | None) -> None:
    body = bytes(SIZE) if chunk_size is None else chunked(bytes(SIZE), chunk_size)
    with target.server.connect() as connection:
        connection.socket.sendall(head(framing) + body)
        target.assert_refused(connection.receive())
        assert connection.is_closed_by_server()


def test_answer_comes_before_the_rest_of_the_body(target: Target) -> None:
    with target.server.connect() as connection:
        connection.send(head(f"Content-Length: {SIZE}") + bytes(1000))
        begun = time.monotonic()
        target.assert_refused(connection.receive(), "malformed_too_large")
        assert time.monotonic() - begun < 1


def test_client_that_sends_on_for_ever_is_cut_off(target: Target) -> None:
    with target.server.connect() as connection:
        connection.send(head("Content-Length: 99999999999"))
        target.assert_refused(connection.receive(), "malformed_too_large")
        sent = send_until_cut_off(connection.socket, 1000 * MIB)

    assert 200 * MIB < sent < 400 * MIB


def test_others_are_served_meanwhile(target: Target) -> None:
    with target.server.connect() as connection:
        connection.send(head("Content-Length: 99999999999"))
        sending = threading.Thread(target=send_until_cut_off, args=(connection.socket, 1000 * MIB))
        sending.start()
        served = 0
        while sending.is_alive():
            assert target.server.is_serving()
            served += 1
        sending.join()

    assert served > 3


def send_until_cut_off(connection: socket.socket, most: int) -> int:
    """Send up to ``most`` bytes. Return how many were sent before the server closed the connection."""
    sent = 0
    piece = bytes(MIB)
    try:
        while sent < most:
            sent += connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent
