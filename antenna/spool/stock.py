# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts and lists the content of the spool: entries that wait, entries that were set aside, and foreign files."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from antenna.spool.crash_files import measure
from antenna.spool.entry import EntryName, Kind

SET_ASIDE = "set_aside"

# Suffix of the empty file beside an entry that was set aside. It says that somebody has acknowledged the entry.
_ACKNOWLEDGED = ".acknowledged"

# If the name of an entry gives this size in bytes or more, the entry is measured. The name gives the size at the time
# of writing. It may be wrong: a person may have made it up, and earlier collectors counted holes.
_MEASURED = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of entries in the spool, and their bytes."""

    #: Crashes and ids that wait, the bytes that they take on the disk, and since when the oldest waits, in seconds
    #: since the epoch. ``oldest`` is None if none waits.
    crashes: int = 0
    ids: int = 0
    size: int = 0
    oldest: float | None = None
    #: Entries that were set aside, and that nobody has restored, removed or acknowledged.
    set_aside: int = 0
    #: Files and directories among the entries that do not have the name of an entry.
    foreign: int = 0

    @property
    def entries(self) -> int:
        """Number of entries that wait."""
        return self.crashes + self.ids


@dataclass(frozen=True, slots=True)
class SetAside:
    """An entry that was set aside."""

    kind: Kind
    name: EntryName
    path: Path
    is_acknowledged: bool


def take_stock(root: Path) -> Statistics:
    """Count the entries in the spool and their bytes. Raises ``OSError``."""
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
    with contextlib.suppress(ValueError):  # a person may have made up the time in the name
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
    """Count the entries that were set aside and that nobody has acknowledged. Raises ``OSError``."""
    return sum(1 for entry in entries_set_aside(root) if not entry.is_acknowledged)


def entries_set_aside(root: Path) -> Iterator[SetAside]:
    """Yield the entries that were set aside, the oldest of each kind first. Raises ``OSError``."""
    names = set(visible_names(root / SET_ASIDE))
    for text in sorted(names):
        kind, name = _parse_set_aside(text)
        if kind is not None and name is not None:
            yield SetAside(kind, name, root / SET_ASIDE / text, text + _ACKNOWLEDGED in names)


def acknowledgement_of(path: Path) -> Path:
    """Return the path of the file that, if it exists, says that somebody has acknowledged the entry at ``path``."""
    return path.with_name(path.name + _ACKNOWLEDGED)


def foreign_things(root: Path) -> Iterator[Path]:
    """Yield the paths among the entries that do not have the name of an entry. Raises ``OSError``."""
    for kind in Kind:
        for text in visible_names(root / kind.value):
            if EntryName.parse(text) is None:
                yield root / kind.value / text
    for text in visible_names(root / SET_ASIDE):
        if _parse_set_aside(text.removesuffix(_ACKNOWLEDGED))[1] is None:
            yield root / SET_ASIDE / text


def visible_names(directory: Path) -> list[str]:
    """Return the names in ``directory`` that do not begin with a dot. Raises ``OSError``."""
    names = os.listdir(directory)  # noqa: PTH208 - there may be 100,000: no Path for each of them
    return [name for name in names if not name.startswith(".")]


def _parse_set_aside(text: str) -> tuple[Kind | None, EntryName | None]:
    for kind in Kind:
        if text.startswith(f"{kind.value}-"):
            return kind, EntryName.parse(text.removeprefix(f"{kind.value}-"))
    return None, None


def _measure(path: Path) -> int:
    """Return the bytes that an entry takes on the disk. Returns 0 if it is gone by now, or is not a directory."""
    try:
        return measure(path)
    except OSError:
        return 0
