# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Names of dumps, and the object keys under which dumps are stored."""

import re

from antenna.refusal import Reason, Refusal

MINIDUMP = "upload_file_minidump"
# Characters of a dump's name. Longer names are cut, because the name becomes a part of an object's name.
MAX_LENGTH = 30
# Names of other objects of a crash. A dump with such a name would overwrite them.
RESERVED = frozenset({"raw_crash", "dump_names", "processed_crash"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


def object_key(name: str) -> str:
    """Return the key under which a dump is stored: its name, or ``dump`` for the main minidump."""
    return "dump" if name == MINIDUMP else name


def sanitize(name: str) -> str:
    """Keep the ASCII letters, the digits and ``_`` of a name, at most 30 of them.

    Raises ``Refusal`` (``INVALID_DUMP_NAME``) if the result is the name of another object of a crash.
    """
    safe = _UNSAFE.sub("", name)[:MAX_LENGTH]
    if safe in RESERVED:
        raise Refusal(Reason.INVALID_DUMP_NAME)
    return safe


def assign(names: list[str]) -> list[str]:
    """Give each dump of a report a name such that no two have the same object key. ``names`` are sanitized.

    A name that is empty or taken gets a number. The main minidump always keeps its name, even if another dump with the
    same key comes before it.
    """
    taken: dict[str, int] = {}
    main_first = sorted(range(len(names)), key=lambda index: names[index] != MINIDUMP)
    for index in main_first:
        if names[index]:
            taken.setdefault(object_key(names[index]), index)
    keys = set(taken)
    result = []
    for index, name in enumerate(names):
        if name and taken[object_key(name)] == index:
            result.append(name)
        else:
            result.append(_numbered(name or "unnamed", keys))
    return result


def _numbered(name: str, keys: set[str]) -> str:
    number = 1
    while (candidate := _with_number(name, number)) in keys or candidate in RESERVED:
        number += 1
    keys.add(candidate)
    return candidate


def _with_number(name: str, number: int) -> str:
    suffix = f"_{number}"
    # The name is cut at the same place for numbers of one and of two digits.
    return name[: MAX_LENGTH - max(3, len(suffix))] + suffix
