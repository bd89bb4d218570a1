# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Records what arrived at the backends, and checks that it came in the promised order."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Books:
    """The crashes that are stored and published after a run."""

    #: Checksums of the dumps, by id, of the crashes that are there with all that belongs to them.
    saved: dict[str, list[str]] = field(default_factory=dict)
    #: Ids of crashes of which something is there, but not all.
    partial: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    #: What came in the wrong order.
    disorder: list[str] = field(default_factory=list)


@dataclass
class _Crash:
    dump_names: list[str] | None = None
    has_raw_crash: bool = False
    #: Checksum by name, as in the path.
    dumps: dict[str, str] = field(default_factory=dict)

    def has_all_dumps(self) -> bool:
        names = ["dump" if name == "upload_file_minidump" else name for name in self.dump_names or []]
        return self.dump_names is not None and sorted(names) == sorted(self.dumps)


class Bookkeeper:
    """Records what the sinks get, at the moment when it has taken effect."""

    def __init__(self) -> None:
        self._crashes: dict[str, _Crash] = {}
        self._published: list[str] = []
        self._disorder: list[str] = []

    def uploaded(self, name: str, crc32c: str, content: bytes) -> None:
        """Record an object. ``content`` is needed for dump names only."""
        version, *kinds, crash_id = name.split("/")
        if version != "v1" or not kinds:
            return
        crash = self._crashes.setdefault(crash_id, _Crash())
        if kinds[0] == "raw_crash":
            crash.has_raw_crash = True
            if not crash.has_all_dumps():
                self._disorder.append(f"{crash_id}: raw crash before the dumps")
        elif kinds[0] == "dump_names":
            crash.dump_names = json.loads(content)
        else:
            crash.dumps[kinds[0]] = crc32c

    def published(self, crash_ids: Iterable[str]) -> None:
        """Record ids that were published in one request."""
        for crash_id in crash_ids:
            if crash_id != "test":
                self._published.append(crash_id)
                # If nothing is uploaded to the sinks, an emulator has the objects.
                if self._crashes and not self._crashes.get(crash_id, _Crash()).has_raw_crash:
                    self._disorder.append(f"{crash_id}: published before the raw crash")

    def close(self) -> Books:
        """Return the books."""
        whole = {crash_id for crash_id, crash in self._crashes.items() if crash.has_raw_crash and crash.has_all_dumps()}
        return Books(
            saved={crash_id: sorted(self._crashes[crash_id].dumps.values()) for crash_id in whole},
            partial=[crash_id for crash_id in self._crashes if crash_id not in whole],
            published=self._published,
            disorder=self._disorder,
        )
