# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Loads processed crashes for the programs: from a viewer, or by reading the dumps in the storage."""

import json
import os
from typing import Any

from gevent.lock import BoundedSemaphore

from bin import _common, _symbols, _viewer  # isort: split

from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.viewer.crash_reader import CrashFailedError, CrashReader
from antenna.viewer.socorro import processed_crash
from antenna.viewer.supersearch.facts import facts_of


class Processed:
    """Returns processed crashes. Raises ``BackendError`` and ``ToolError``."""

    def __init__(self, storage: CrashStorageBase | _viewer.ViewerStorage) -> None:
        """If the environment names a viewer, crashes come from there. Otherwise the dumps in ``storage`` are read."""
        self._viewer = _viewer.Viewer(_viewer.url()) if _viewer.url() else None
        self._reader = None
        # A reader takes one crash at a time.
        self._lock = BoundedSemaphore()
        if isinstance(storage, CrashStorageBase):
            store = _symbols.store(None)
            self._reader = CrashReader(storage, None if store is None else store.root)

    def load(self, crash_id: str) -> bytes | None:
        """Return a processed crash as JSON. If there is no such crash, return None."""
        found = self._ask(crash_id) if self._viewer is not None else self._read(crash_id)
        return None if found is None else json.dumps(found).encode("ascii")

    def _ask(self, crash_id: str) -> Any:
        assert self._viewer is not None  # noqa: S101 - for mypy
        return self._viewer.json(f"/api/report/{crash_id}")

    def _read(self, crash_id: str) -> dict[str, Any]:
        assert self._reader is not None  # noqa: S101 - for mypy: without a viewer there is a storage
        with self._lock:
            try:
                row = self._reader.read(crash_id)
            except CrashFailedError as error:
                raise _common.ToolError(str(error)) from error
        return processed_crash(row.body, facts_of(row), crash_id)


def is_from_viewer() -> bool:
    """Whether the environment names a viewer and no storage. Then crashes come from the viewer."""
    return bool(_viewer.url()) and not any(name.startswith("CRASHMOVER_CRASHSTORAGE_") for name in os.environ)
