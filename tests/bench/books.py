# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What arrived at the sinks, and whether it is what was promised."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Saved:
    """What there is of one crash."""

    dump_names: list[str] | None = None
    #: Checksum by name, as in the path.
    dumps: dict[str, int] = field(default_factory=dict)
    #: Whether there is a raw crash, which came after all the rest.
    is_whole: bool = False
    #: Whether the id was published, after the raw crash came.
    is_published: bool = False

    def has_all_dumps(self) -> bool:
        """Whether every dump that is listed is there."""
        names = ["dump" if name == "upload_file_minidump" else name for name in self.dump_names or []]
        return self.dump_names is not None and sorted(names) == sorted(self.dumps)


class Books:
    """Everything that arrived, by crash id."""

    def __init__(self) -> None:
        self._crashes: dict[str, Saved] = {}
        self._requests: Counter[str] = Counter()

    def upload(self, name: str, crc32c: int, content: bytes) -> None:
        """Take an object. ``content`` matters for dump names only."""
        self._requests["upload"] += 1
        version, kind, *_, crash_id = name.split("/") if name.startswith("v1/") else ("", "", "")
        if version != "v1":
            return
        saved = self._crashes.setdefault(crash_id, Saved())
        if kind == "raw_crash":
            saved.is_whole = saved.has_all_dumps()
        elif kind == "dump_names":
            saved.dump_names = json.loads(content)
        else:
            saved.dumps[kind] = crc32c

    def publish(self, ids: list[str]) -> None:
        """Take a request to publish."""
        self._requests["publish"] += 1
        for crash_id in ids:
            saved = self._crashes.get(crash_id)
            if saved:
                saved.is_published = saved.is_whole

    def report(self) -> dict[str, Any]:
        """Return the crashes that are saved and published, with the checksums of their dumps, and the others."""
        done = {
            crash_id: sorted(saved.dumps.values()) for crash_id, saved in self._crashes.items() if saved.is_published
        }
        return {
            "crashes": done,
            "incomplete": [crash_id for crash_id in self._crashes if crash_id not in done],
            "requests": self._requests,
        }
