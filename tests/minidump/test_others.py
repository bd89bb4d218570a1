# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Minidumps that other projects publish, where ``ANTENNA_MINIDUMPS_DIR`` names a directory that has them.

``ground_truth.json`` beside them says what they hold, as several tools agree.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from antenna.minidump import DumpFacts, Minidump, MinidumpError

DIRECTORY = Path(os.environ.get("ANTENNA_MINIDUMPS_DIR") or "/nonexistent")
TRUTH = DIRECTORY / "ground_truth.json"
NAMES = (
    "os", "os_version", "cpu", "crash_reason", "crash_address", "crashing_tid", "crashing_thread_index",
    "thread_count", "module_count",
)  # fmt: skip
HOW = {"fp": "frame_pointer", "cfi": "frame_pointer"}


def facts(name: str) -> dict[str, Any]:
    with Minidump.open(DIRECTORY / name) as dump:
        return DumpFacts(dump).as_json()


if TRUTH.exists():
    ALL = {name: truth for name, truth in json.loads(TRUTH.read_bytes()).items() if name != "_about"}
    READABLE = {name: truth for name, truth in ALL.items() if "os" in truth}

    @pytest.mark.parametrize("name", READABLE)
    def test_what_crashed_and_where(name: str) -> None:
        truth, found = READABLE[name], facts(name)
        assert {key: found[key] for key in NAMES} == {key: truth[key] for key in NAMES}
        assert {key: found["top_frame"][key] for key in truth["top_frame"]} == truth["top_frame"]
        assert found["damage"] == []

    @pytest.mark.parametrize("name", [name for name in READABLE if READABLE[name].get("second_frame")])
    def test_the_caller(name: str) -> None:
        truth, found = READABLE[name]["second_frame"], facts(name)["stack"][1]
        assert (found["module"], found["offset"]) == (truth["module"], truth["offset"])
        assert found["trust"] == HOW.get(truth["how"], truth["how"])

    @pytest.mark.parametrize("name", [name for name in ALL if "expected" in ALL[name]])
    def test_what_cannot_be_read(name: str) -> None:
        with pytest.raises(MinidumpError, match=ALL[name]["expected"].partition(":")[0]):
            facts(name)

    @pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.dmp")), ids=lambda path: path.name)
    def test_every_dump_is_read_or_refused(path: Path) -> None:
        try:
            found = facts(path.name)
        except MinidumpError:
            return
        assert found["thread_count"]
        assert found["module_count"]
