# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Volumes on which some calls fail are used: network shares, FUSE, file systems of sandboxes.

The log says what is lost.
"""

import os
from pathlib import Path

from tests.support.refusals import SITE
from tests.support.reports import annotation, dump
from tests.support.server import PROJECT_ROOT
from tests.system.conftest import StartCollector


def volume_that_refuses(root: Path, *refused: str) -> dict[str, str]:
    """Return the options of a collector whose volume ``root`` refuses these calls."""
    return {
        "REFUSED": " ".join(refused),
        "REFUSED_BELOW": str(root),
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(SITE)]),
    }


def test_crashes_are_saved_and_published_on_a_volume_that_refuses_calls(
    start_local_collector: StartCollector, tmp_path: Path
) -> None:
    refused = ["chmod=EPERM", "rename-over=EEXIST", "directory-fsync=EBADF", "nameless-file=EINVAL"]
    collector = start_local_collector(
        **volume_that_refuses(tmp_path, *refused), BREAKPAD_MEMORY_PER_REPORT="0", BREAKPAD_TEMP_DIR=str(tmp_path)
    )

    answer = collector.submit_parts(annotation("ProductName", "Firefox"), dump(b"MDMP" * 1000))

    crash = collector.assert_saved(answer)
    collector.assert_published(crash.crash_id)
    lacking = "no chmod: files keep the mode that the volume gives them; no fsync of directories: a file that was just"
    for directory in (tmp_path / "crashes", tmp_path / "queue"):
        assert collector.server.logs().count(f"the file system of {directory} has {lacking}") == 1


def test_crashes_wait_in_a_spool_on_a_volume_that_refuses_calls(
    start_local_collector: StartCollector, tmp_path: Path
) -> None:
    spool, crashes = tmp_path / "spool", tmp_path / "crashes"
    spool.mkdir()
    refused = ["chmod=EPERM", "directory-fsync=EINVAL", "nameless-file=EOPNOTSUPP", "link=EPERM", "flock=ENOSYS"]
    collector = start_local_collector(
        **volume_that_refuses(spool, *refused),
        CRASHMOVER_SPOOL_DIR=str(spool),
        BREAKPAD_TEMP_DIR=str(spool),
        BREAKPAD_MEMORY_PER_REPORT="0",
        GUNICORN_WORKERS="2",
    )
    crashes.rename(tmp_path / "elsewhere")
    crashes.touch()

    answers = [collector.submit_parts(annotation("ProductName", "Firefox"), dump(b"MDMP" * 1000)) for _ in range(5)]

    crash_ids = {collector.assert_kept(answer) for answer in answers}
    crashes.unlink()
    collector.server.wait_until(lambda: not [*(spool / "save").iterdir(), *(spool / "publish").iterdir()])
    for answer in answers:
        collector.assert_saved(answer)
    assert crash_ids <= collector.published()
    log = collector.server.logs()
    assert "no fsync of directories: a crash that was just spooled may be lost when the power fails" in log
    assert "no flock: several workers may deliver a crash twice" in log
