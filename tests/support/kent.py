# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A small Sentry server for tests."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import sentry_sdk

from tests.support.programs import free_port


class Kent:
    """Keeps everything that it is sent."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.dsn = f"http://public@127.0.0.1:{port}/1"

    def events(self) -> list[dict[str, Any]]:
        """All events that were sent, without sessions and client reports."""
        listed = requests.get(f"{self.url}/api/eventlist/", timeout=5).json()["events"]
        payloads = [
            requests.get(f"{self.url}/api/event/{event['event_id']}", timeout=5).json()["payload"] for event in listed
        ]
        return [payload["body"] for payload in payloads if payload["header"]["type"] == "event"]

    def event(self) -> dict[str, Any]:
        """The only event that was sent."""
        sentry_sdk.flush(5)
        (event,) = self.events()
        return event


@contextmanager
def running_kent() -> Iterator[Kent]:
    """Start the server, and stop it at the end of the block."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("kent-server")), "run", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kent = Kent(port)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                kent.events()
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield kent
    finally:
        process.terminate()
        process.wait(10)
