# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Checks that the raw crash of an entry is one that the collector wrote, and reads the checksums of its dumps."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from antenna.crash import dump_names
from antenna.refusal import Refusal

# Characters of JSON that are decoded in one go. Meanwhile no other thread of the process runs, for about 10 ms per MB.
# So a larger raw crash is decoded member by member.
_SMALL = 256 * 1024

_SPACE = re.compile(r"[ \t\r\n]*")


class EntryDamaged(Exception):
    """An entry of the spool is not a complete crash, or not an id. It can never be delivered."""


def dump_checksums(raw_crash: bytes, crash_id: str) -> dict[str, str]:
    """Return the checksums of the dumps of the crash ``crash_id``, by dump name.

    Raises ``EntryDamaged`` if ``raw_crash`` is not the raw crash of that id.
    """
    try:
        members = _decode(raw_crash.decode("utf-8"))
    except RecursionError:
        raise EntryDamaged("raw_crash: its JSON is nested too deeply") from None
    except ValueError as error:
        raise EntryDamaged(f"raw_crash: {error}") from error
    if members.get("uuid") != crash_id:
        raise EntryDamaged("raw_crash: its uuid is not that of the entry")
    metadata = members.get("metadata")
    checksums = metadata.get("dump_checksums") if isinstance(metadata, dict) else None
    if not isinstance(checksums, dict) or not all(isinstance(checksum, str) for checksum in checksums.values()):
        raise EntryDamaged("raw_crash: it has no metadata.dump_checksums")
    for name in checksums:
        if not _is_dump_name(name):
            raise EntryDamaged(f"raw_crash: {name!a:.50} is not the name of a dump")
    return checksums


def _is_dump_name(name: str) -> bool:
    try:
        return name != "" and dump_names.sanitize(name) == name
    except Refusal:
        return False


def _decode(text: str) -> dict[str, Any]:
    """Return the members of a JSON object. If it is large, return only those that are needed.

    Raises what ``_members`` raises.
    """
    if len(text) > _SMALL:
        return {name: value for name, value in _members(text) if name in {"uuid", "metadata"}}
    decoded = json.loads(text, parse_constant=_refuse)
    if not isinstance(decoded, dict):
        raise EntryDamaged("raw_crash: it is not a JSON object")
    return decoded


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of a JSON object one by one. Raises ``EntryDamaged``, ``ValueError``, ``RecursionError``."""
    decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
    position = _after(text, "{", 0)
    if text[position : position + 1] != "}":
        while True:
            name, position = decode(text, position)
            if not isinstance(name, str):
                raise EntryDamaged("raw_crash: it is not a JSON object: a name is not text")
            value, position = decode(text, _after(text, ":", position))
            yield name, value
            position = _skip_space(text, position)
            if text[position : position + 1] != ",":
                break
            position = _after(text, ",", position)
    if _after(text, "}", position) != len(text):
        raise ValueError("something follows the JSON object")


def _after(text: str, character: str, position: int) -> int:
    """Return the position after ``character`` and the white space around it. Raises ``ValueError`` if it is missing."""
    position = _skip_space(text, position)
    if text[position : position + 1] != character:
        raise ValueError(f"it is not a JSON object: expected {character} at character {position}")
    return _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
