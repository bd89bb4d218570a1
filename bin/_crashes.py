# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads stored crashes, several at the same time. If one is damaged, it is named, and the program goes on."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bin import _backends, _common  # isort: split

from antenna.backend import BackendError
from antenna.crash import crash_id as crash_ids
from antenna.crash import identify, raw_crash_path
from antenna.ext import CrashStorageBase


@dataclass(frozen=True)
class ListedCrash:
    """A crash as lists need it: its id and its raw crash, without the dumps."""

    crash_id: str
    raw_crash: dict[str, Any]

    def says(self, what: str) -> str:
        """Return the product, version and so on of the crash, a key of ``IDENTITY``.

        It is "" if the crash does not state it.
        """
        return identify(self.raw_crash, what)

    @property
    def metadata(self) -> dict[str, Any]:
        """The collector's metadata. It is empty if it is damaged."""
        metadata = self.raw_crash.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def dump_names(self) -> list[str]:
        """The names of the dumps, sorted."""
        checksums = self.metadata.get("dump_checksums")
        return sorted(checksums) if isinstance(checksums, dict) else []

    @property
    def submitted(self) -> datetime:
        """When the crash came in. If the raw crash does not say it, it is midnight of the day in the crash id."""
        try:
            return datetime.fromisoformat(self.raw_crash["submitted_timestamp"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError, OverflowError):
            return datetime.strptime(crash_ids.date_of(self.crash_id), "%Y%m%d").replace(tzinfo=UTC)


class Reader:
    """Reads raw crashes, and counts the damaged ones."""

    def __init__(self, storage: CrashStorageBase) -> None:
        self._storage = storage
        #: Number of crashes that could not be read. Each is named on stderr.
        self.damaged = 0

    def read(self, ids: Iterable[str]) -> Iterator[ListedCrash]:
        """Yield the crashes that exist and are not damaged."""
        for crash_id, content in _backends.side_by_side(self._load, ids):
            if isinstance(content, Exception):
                self._name(crash_id, str(content))
            elif content is not None:  # None: the crash has been deleted since it was listed
                crash = self._parse(crash_id, content)
                if crash is not None:
                    yield crash

    def _load(self, crash_id: str) -> tuple[str, bytes | BackendError | None]:
        try:
            return crash_id, self._storage.load(raw_crash_path(crash_id))
        except BackendError as error:
            return crash_id, error

    def _parse(self, crash_id: str, content: bytes) -> ListedCrash | None:
        try:
            raw_crash = json.loads(content)
        except (ValueError, RecursionError) as error:
            self._name(crash_id, f"the raw crash is not JSON: {error}")
            return None
        if not isinstance(raw_crash, dict):
            self._name(crash_id, "the raw crash is not a JSON object")
            return None
        return ListedCrash(crash_id, raw_crash)

    def _name(self, crash_id: str, problem: str) -> None:
        self.damaged += 1
        _common.note(_common.printable(f"{crash_id}: {problem}"))
