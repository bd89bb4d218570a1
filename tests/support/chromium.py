# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Chromium without a screen."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MISSING_CHROMIUM = """\
Chromium is missing: the viewer's pages are not looked at in a browser. Debian has it in the package chromium."""

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync",
)  # fmt: skip


class Chromium:
    """A browser that loads pages."""

    def __init__(self, command: str, profile: Path) -> None:
        self._command = [command, *_OPTIONS, f"--user-data-dir={profile}"]

    def document(self, url: str) -> str:
        """Return the document of a page after the browser has run the scripts that it allows."""
        return self._run("--dump-dom", url).stdout

    def document_and_picture(self, url: str, file: Path, width: int = 1280) -> tuple[str, bytes]:
        """Return the document of a page, and a picture of it as a PNG file."""
        done = self._run("--dump-dom", f"--screenshot={file}", f"--window-size={width},900", url)
        return done.stdout, file.read_bytes()

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=90, check=True)


def find_chromium(profile: Path) -> Chromium:
    """Return the browser. If there is none, skip the test, or fail it if REQUIRE_CHROMIUM is in the environment."""
    command = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if command is None:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(MISSING_CHROMIUM, pytrace=False)
        pytest.skip(MISSING_CHROMIUM.partition(":")[0])
    return Chromium(command, profile)
