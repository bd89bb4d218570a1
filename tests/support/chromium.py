# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Chromium without a screen."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

MISSING_CHROMIUM = """\
Chromium is missing: the viewer's pages are not looked at in a browser. Debian has it in the package chromium."""

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync",
)  # fmt: skip
# Seconds to the next message of the browser.
_PATIENCE = 90


class Chromium:
    """A browser that loads pages, one after the other: each start of it takes more than a second of CPU.

    It takes commands of the Chrome DevTools Protocol from one pipe, and answers into another one. Each message is JSON
    and ends with a null byte.
    """

    def __init__(self, command: str, profile: Path) -> None:
        theirs, self._commands = os.pipe()
        self._answers, their_answers = os.pipe()
        # With this option Chromium reads from descriptor 3, and writes to 4.
        arguments = [command, *_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" "$@" 3</dev/fd/{theirs} 4>/dev/fd/{their_answers}', *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs, their_answers),
            start_new_session=True,
        )
        os.close(theirs)
        os.close(their_answers)
        self._received = b""
        #: The names of the events that the browser has told of.
        self._events: set[str] = set()
        self._count = 0
        self._session = ""
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._do("Page.enable")

    def document(self, url: str, width: int = 1280) -> str:
        """Load a page, and return its document after the browser has run the scripts that it allows."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._do("Emulation.setDeviceMetricsOverride", **size)
        self._events.clear()
        self._do("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._events:
            self._next()
        answer = self._do("Runtime.evaluate", expression="document.documentElement.outerHTML")
        document: str = answer["result"]["value"]
        return document

    def picture(self) -> bytes:
        """Return a picture of the page as a PNG file."""
        return base64.b64decode(self._do("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _do(self, method: str, **parameters: object) -> dict[str, Any]:
        """Have a command carried out; return its result. Raises AssertionError if the browser cannot do it."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            pass
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        """Return the next message of the browser. Raises AssertionError if it ends, or says nothing for long."""
        while b"\0" not in self._received:
            assert select.select([self._answers], [], [], _PATIENCE)[0], "Chromium does not answer"
            piece = os.read(self._answers, 1 << 20)
            assert piece, "Chromium has ended"
            self._received += piece
        message, _, self._received = self._received.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        self._events.add(found.get("method", ""))
        return found


def find_chromium(profile: Path) -> Chromium:
    """Return the browser. If there is none, skip the test, or fail it if REQUIRE_CHROMIUM is in the environment."""
    command = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if command is None:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(MISSING_CHROMIUM, pytrace=False)
        pytest.skip(MISSING_CHROMIUM.partition(":")[0])
    return Chromium(command, profile)
