# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""version.json says what is deployed. A checkout has no such file."""

from pathlib import Path
from typing import Any

import pytest

from antenna.ops.version import read_version, release_name

VERSION = """{
    "source": "https://github.com/mozilla-services/antenna",
    "version": "2026.11.22",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "build": "https://ci.example.com/42"
}"""


def test_version_is_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text(VERSION)

    version = read_version(tmp_path)

    assert version["build"] == "https://ci.example.com/42"
    assert release_name(version) == "2026.11.22:01234567"


@pytest.mark.parametrize("contents", ["", "{", "[]", '"2026.11.22"', b"\xff\xfe"])
def test_broken_file_is_none(tmp_path: Path, contents: str | bytes) -> None:
    (tmp_path / "version.json").write_bytes(contents if isinstance(contents, bytes) else contents.encode())

    assert read_version(tmp_path) == {}


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert read_version(tmp_path) == {}


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ({}, "none:none"),
        ({"version": "", "commit": ""}, "none:none"),
        ({"version": "1.0"}, "1.0:none"),
        ({"commit": "0123456789"}, "none:01234567"),
        ({"version": 5, "commit": 12}, "5:12"),
    ],
)
def test_release_always_has_a_name(version: dict[str, Any], release: str) -> None:
    assert release_name(version) == release
