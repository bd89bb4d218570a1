# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What is in the spool: entries that wait, entries that were set aside, and what does not belong there."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from antenna.spool.crash_files import measure
from antenna.spool.entry import EntryName, Kind

SET_ASIDE = "set_aside"

# A file beside an entry that was set aside, with its name and this at the end: somebody has acknowledged it.
_ACKNOWLEDGED = ".acknowledged"

# Bytes in the name of an entry from which on the entry is measured. The name says how much was written, and may say any
# number if somebody else has made it up; and collectors before this one counted holes.
_MEASURED = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is in the spool."""

    #: Crashes and ids that wait, the bytes that they take on the disk, and since when the oldest waits, in seconds
    #: since the epoch.
    crashes: int = 0
    ids: int = 0
    size: int = 0
    oldest: float | None = None
    #: Entries that were set aside, and that nobody has restored, removed or acknowledged.
    set_aside: int = 0
    #: Things among the entries whose names are not those of entries.
    foreign: int = 0

    @property
    def entries(self) -> int:
        """Entries that wait."""
        return self.crashes + self.ids


@dataclass(frozen=True, slots=True)
class SetAside:
    """An entry that was set aside."""

    kind: Kind
    name: EntryName
    path: Path
    is_acknowledged: bool


def take_stock(root: Path) -> Statistics:
    """Count what is in the spool. Raises ``OSError``."""
    counts = dict.fromkeys(Kind, 0)
    size = 0
    oldest: EntryName | None = None
    for kind in Kind:
        for text in visible_names(root / kind.value):
            name = EntryName.parse(text)
            if name is None:
                continue
            counts[kind] += 1
            size += name.size if name.size < _MEASURED else _measure(root / kind.value / text)
            oldest = name if oldest is None or name.time < oldest.time else oldest
    since = None
    with contextlib.suppress(ValueError):  # a name that a person gave
        since = oldest.since.timestamp() if oldest else None
    return Statistics(
        crashes=counts[Kind.CRASH],
        ids=counts[Kind.ID],
        size=size,
        oldest=since,
        set_aside=count_set_aside(root),
        foreign=sum(1 for _ in foreign_things(root)),
    )


def count_set_aside(root: Path) -> int:
    """Count the entries that were set aside and wait for somebody. Raises ``OSError``."""
    return sum(1 for entry in entries_set_aside(root) if not entry.is_acknowledged)


def entries_set_aside(root: Path) -> Iterator[SetAside]:
    """Yield what was set aside, the oldest of each kind first. Raises ``OSError``."""
    names = set(visible_names(root / SET_ASIDE))
    for text in sorted(names):
        kind, name = _parse_set_aside(text)
        if kind is not None and name is not None:
            yield SetAside(kind, name, root / SET_ASIDE / text, text + _ACKNOWLEDGED in names)


def acknowledgement_of(path: Path) -> Path:
    """Return the file that says that somebody has acknowledged the entry at ``path``, if it is there."""
    return path.with_name(path.name + _ACKNOWLEDGED)


def foreign_things(root: Path) -> Iterator[Path]:
    """Yield what lies among the entries and has no name of an entry. It is left alone. Raises ``OSError``."""
    for kind in Kind:
        for text in visible_names(root / kind.value):
            if EntryName.parse(text) is None:
                yield root / kind.value / text
    for text in visible_names(root / SET_ASIDE):
        if _parse_set_aside(text.removesuffix(_ACKNOWLEDGED))[1] is None:
            yield root / SET_ASIDE / text


def visible_names(directory: Path) -> list[str]:
    """Return the names in ``directory`` but for those that begin with a dot. Raises ``OSError``."""
    names = os.listdir(directory)  # noqa: PTH208 - there may be 100,000: no Path for each of them
    return [name for name in names if not name.startswith(".")]


def _parse_set_aside(text: str) -> tuple[Kind | None, EntryName | None]:
    for kind in Kind:
        if text.startswith(f"{kind.value}-"):
            return kind, EntryName.parse(text.removeprefix(f"{kind.value}-"))
    return None, None


def _measure(path: Path) -> int:
    """Return the bytes that an entry takes on the disk; none if it is gone by now, or no directory."""
    try:
        return measure(path)
    except OSError:
        return 0
