# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads exceptions of Java, which crashes of Android programs have instead of a minidump."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Most frames that are printed.
_MAX_FRAMES = 60


@dataclass(frozen=True)
class JavaException:
    """The content of the annotations ``JavaException`` (JSON) or ``JavaStackTrace`` (text)."""

    title: str
    """The class and the message of the exception."""
    lines: tuple[str, ...]
    """The calls, the innermost first."""


def java_exception(raw_crash: dict[str, Any]) -> JavaException | None:
    """Return the Java exception of a crash, or None if it has none. If it has both annotations, the JSON counts."""
    return _structured(raw_crash.get("JavaException")) or _text(raw_crash.get("JavaStackTrace"))


def _structured(value: Any) -> JavaException | None:
    """Read the JSON of Mozilla's crash reporter for Android, which has exceptions in the form that Sentry uses."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    try:
        values = value["exception"]["values"]
        exceptions = [(_title(each), tuple(_frames(each["stacktrace"]["frames"]))) for each in values]
    except (KeyError, TypeError, AttributeError):
        return None
    if not exceptions:
        return None
    (title, lines), *causes = exceptions
    for cause, cause_lines in causes:
        lines = (*lines, f"caused by {cause}", *cause_lines)
    return JavaException(title, lines)


def _title(exception: dict[str, Any]) -> str:
    names = [exception["stacktrace"].get("module"), exception["stacktrace"].get("type")]
    if exception.get("type"):
        names = [exception.get("module"), exception["type"]]
    name = ".".join(str(part) for part in names if part)
    message = exception.get("value") or exception["stacktrace"].get("value")
    return f"{name}: {message}" if message else name


def _frames(frames: list[dict[str, Any]]) -> Iterator[str]:
    for frame in frames[:_MAX_FRAMES]:
        place = f"{frame.get('filename') or 'unknown source'}"
        if frame.get("lineno"):
            place += f":{frame['lineno']}"
        yield f"at {frame.get('module') or '?'}.{frame.get('function') or '?'}({place})"


def _text(value: Any) -> JavaException | None:
    if not isinstance(value, str) or not value.strip():
        return None
    title, *lines = value.strip().splitlines()
    return JavaException(title.strip(), tuple(text.strip() for text in lines[:_MAX_FRAMES]))
