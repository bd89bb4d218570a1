# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A viewer, and a directory of crashes for it to show."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from falcon.testing import TestClient

from antenna.crash.crash_id import mint
from antenna.crash.object_names import dump_names_path, dump_path, raw_crash_path
from antenna.viewer.app import ViewerApp

MINIDUMP = "upload_file_minidump"


class StoredCrashes:
    """Crashes as the collector leaves them in a directory tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        annotations: Mapping[str, Any],
        minidump: bytes | None = None,
        *,
        days_ago: int = 0,
        crash_id: str = "",
        rule: str = "accept_everything",
        notes: tuple[str, ...] = (),
    ) -> str:
        """Store a crash; return its id."""
        came = datetime.now(UTC) - timedelta(days=days_ago)
        crash_id = crash_id or mint(0, came)
        dumps = {} if minidump is None else {MINIDUMP: minidump}
        metadata = {
            "collector_notes": list(notes),
            "dump_checksums": {name: hashlib.sha256(dump).hexdigest() for name, dump in dumps.items()},
            "payload": "multipart",
            "throttle_rule": rule,
        }
        added = {"metadata": metadata, "submitted_timestamp": came.isoformat(), "uuid": crash_id, "version": 2}
        for name, dump in dumps.items():
            self.write(dump_path(crash_id, name), dump)
        self.write(dump_names_path(crash_id), json.dumps(sorted(dumps)).encode())
        self.write(raw_crash_path(crash_id), json.dumps({**annotations, **added}).encode())
        return crash_id

    def write(self, path: str, content: bytes) -> None:
        """Store an object."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class RunningViewer:
    """A viewer in this process: ``look`` reads what there is, ``get`` shows a page."""

    def __init__(self, directory: Path, **options: str) -> None:
        """``options`` are environment variables beside those of the storage."""
        self.directory = directory
        self.crashes = StoredCrashes(directory / "crashes")
        self.environment = viewer_environment(directory) | options
        self.app = ViewerApp(self.environment)
        self.client = TestClient(self.app)

    def look(self) -> int:
        """Read the crashes that are new."""
        return self.app.consumer.look()

    def get(self, path: str, **headers: str) -> str:
        """Return the page at ``path``, which is there."""
        result = self.client.simulate_get(path, host="127.0.0.1", headers=headers)
        assert result.status_code == 200, (path, result.status, result.text)
        return result.text

    def get_json(self, path: str, **headers: str) -> Any:
        """Return the JSON at ``path``."""
        return json.loads(self.get(path, **headers))

    def close(self) -> None:
        """End its child process and close the index."""
        self.app.close()


def viewer_environment(directory: Path) -> dict[str, str]:
    """Return what a viewer needs to show the crashes in a directory."""
    return {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(directory / "crashes"),
        "VIEWER_DATA_DIR": str(directory / "viewer"),
    }
