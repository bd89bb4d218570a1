# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The captures and minidumps are the bytes that were captured."""

import hashlib

import pytest

from tests.support.captures import MINIDUMPS, capture_names, load_capture


@pytest.mark.parametrize("name", capture_names())
def test_capture_is_as_it_was_sent(name: str) -> None:
    capture = load_capture(name)
    assert hashlib.sha256(capture.request).hexdigest() == capture.request_sha256


@pytest.mark.parametrize("line", (MINIDUMPS / "SHA256SUMS").read_text().splitlines())
def test_minidump_is_as_it_was_written(line: str) -> None:
    digest, name = line.split()
    assert hashlib.sha256((MINIDUMPS / name).read_bytes()).hexdigest() == digest
