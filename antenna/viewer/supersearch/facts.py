# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Takes the values of the search's fields from the row of a crash."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from antenna.throttler import MOZILLA_PRODUCTS
from antenna.viewer.supersearch.fields import FIELDS, Field, Kind

if TYPE_CHECKING:
    from antenna.viewer.rows import CrashRow

#: Characters of a value that can be searched. The rest is cut off. Real signatures and versions are far shorter. Stacks
#: may be longer.
MAX_TEXT = 2000

#: Crash Stats' names of systems, if the minidump reader has other names.
PLATFORMS = {"Windows": "Windows NT", "macOS": "Mac OS X"}

_NUMBER = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_TRUE, _FALSE = frozenset({"1", "true", "t", "yes", "y"}), frozenset({"0", "false", "f", "no", "n"})
# The largest integer of SQLite.
_MAX_INTEGER = 2**63 - 1

#: The value of a field: a text, a number, or several texts.
Value = str | int | float | list[str]

_ANNOTATION_FIELDS = {name: field for field in FIELDS for name in field.annotations}
# Fields whose values come from the columns of the row, not from the annotations.
_READ = frozenset({"product", "version", "release_channel", "process_type", "build_id"})
# Names of fields. If an annotation has one of these names by chance, its value is not that of the field.
_FIELD_NAMES = frozenset(field.name for field in FIELDS)


def facts_of(row: "CrashRow") -> dict[str, Value]:
    """Return the values of the fields that a crash has, by the names of the fields.

    An annotation that belongs to no field of ``FIELDS`` is a field with the name of the annotation.
    """
    # The body has the whole annotations, the row only their beginnings.
    whole = row.body.get("annotations", {})
    shown = {name: whole.get(name, text) for name, text in row.annotations.items()}
    dump = (row.body.get("processed") or {}).get("dump") or {}
    found: dict[str, Value | None] = {
        "date": row.submitted,
        "signature": row.signature,
        "product": row.product,
        "version": row.version,
        "release_channel": row.channel,
        "build_id": row.build,
        "platform": PLATFORMS.get(row.os, row.os),
        "platform_version": row.os_version,
        "platform_pretty_version": f"{row.os} {row.os_version}".strip(),
        "cpu_arch": row.cpu,
        "process_type": _process_type(row),
        "reason": row.reason,
        "address": row.address,
        "throttle_rule": row.rule,
        "processor_notes": row.failed,
        "modules_in_stack": [f"{one.code_file or one.debug_file}/{one.debug_id}" for one in row.stack_modules],
    }
    found |= _stack_facts(dump)
    found |= dict(_annotation_facts(shown))
    found |= _ages(found, dump)
    return {name: _cut(value) for name, value in found.items() if value or value == 0}


def _process_type(row: "CrashRow") -> str:
    """Return Crash Stats' name of the process. Mozilla's products send no name for their main process."""
    return "parent" if row.process in {"", "main"} and row.product in MOZILLA_PRODUCTS else row.process


def _cut(value: Value) -> Value:
    if isinstance(value, list):
        return list(dict.fromkeys(item[:MAX_TEXT] for item in value))
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _stack_facts(dump: Mapping[str, Any]) -> dict[str, Value | None]:
    """Return the fields that come from the stack of the crash, and those about the CPU."""
    stack = dump.get("stack") or []
    crashing = dump.get("requesting_thread_index")
    names = [thread.get("name") for thread in dump.get("threads") or [] if thread.get("index") == crashing]
    return {
        "cpu_info": dump.get("cpu_info"),
        "cpu_count": to_number(dump.get("cpu_count")),
        "proto_signature": " | ".join(filter(None, map(_frame_name, stack))),
        "topmost_filenames": [frame["file"] for frame in stack if frame.get("file")][:1],
        "crashing_thread_name": names[0] if names else None,
    }


def _frame_name(frame: Mapping[str, Any]) -> str:
    if frame.get("function"):
        return str(frame["function"])
    return f"{frame['module']}+{frame.get('offset', '')}" if frame.get("module") else str(frame.get("address", ""))


def _annotation_facts(shown: Mapping[str, str]) -> Iterator[tuple[str, Value | None]]:
    """Yield the fields that come from annotations. ``shown`` are those that summaries show."""
    for name, text in shown.items():
        field = _ANNOTATION_FIELDS.get(name)
        if field is None:
            if name not in _FIELD_NAMES:
                yield name, [text] if text else None
        elif field.name not in _READ:
            yield field.name, to_value(field, text)


def _ages(found: Mapping[str, Value | None], dump: Mapping[str, Any]) -> dict[str, Value | None]:
    """Return the seconds since the start of the process, and since the installation, computed as at Crash Stats."""
    crashed, started, installed = (found.get(name) for name in ("crash_time", "startup_time", "install_time"))
    uptime = to_number(dump.get("uptime_seconds"))
    if isinstance(crashed, int | float) and isinstance(started, int | float):
        uptime = max(0, crashed - started)
    age = crashed - installed if isinstance(crashed, int | float) and isinstance(installed, int | float) else None
    return {"uptime": uptime, "install_age": age}


def to_value(field: Field, text: str) -> Value | None:
    """Return ``text`` as a value of a field, or None if it is not one."""
    if field.kind is Kind.NUMBER:
        return to_number(text)
    if field.kind is Kind.BOOLEAN:
        return to_boolean(text)
    return text


def to_number(value: object) -> int | float | None:
    """Return a value of an annotation or of a dump as a number, or None if it is not a number."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    if text.lstrip("+-").isdecimal() and abs(int(text)) <= _MAX_INTEGER:
        return int(text)
    return number


def to_boolean(text: str) -> int | None:
    """Return 1 for a text such as ``true``, 0 for a text such as ``false``, and None for any other."""
    word = text.strip().lower()
    return 1 if word in _TRUE else 0 if word in _FALSE else None
