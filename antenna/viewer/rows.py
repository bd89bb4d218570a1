# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The row of a crash, which the child process makes and the index keeps."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from antenna.crash import crash_id as crash_ids
from antenna.crash import identify, to_text

if TYPE_CHECKING:
    from antenna.viewer.processed import Processed

#: Annotations without anything about a person. Summaries show them, and searches find them.
HARMLESS = frozenset(
    {
        "AbortMessage", "Accessibility", "AdapterDeviceID", "AdapterVendorID", "Android_Manufacturer",
        "Android_Model", "Android_PackageName", "Android_Version", "AsyncShutdownTimeout", "AvailablePhysicalMemory",
        "BuildID", "CrashTime", "DOMFissionEnabled", "GraphicsCriticalError", "Hang", "InstallTime", "MozCrashReason",
        "OOMAllocationSize", "PHCKind", "ProcessType", "ProductID", "ProductName", "ReleaseChannel", "SafeMode",
        "SecondsSinceLastCrash", "ShutdownProgress", "StartupTime", "Throttleable", "TotalPhysicalMemory", "UptimeTS",
        "Vendor", "Version", "_productName", "_version", "channel", "ipc_channel_error", "lsb-release", "plat",
        "platform", "process_type", "prod", "ptype", "useragent_locale", "ver",
    }
)  # fmt: skip

#: Characters of one value on a page. A longer one is cut.
MAX_VALUE = 20_000
#: Characters of a value by which crashes are counted and searched. A longer one is cut.
MAX_CELL = 255
# Characters of a crash that a search for words looks at, and how many of them one annotation or function may have.
_MAX_WORDS, _MAX_WORDS_OF_ONE = 40_000, 1000
# Annotations of one crash on its page, and characters of all their values. A real report has some 60, with 30,000
# characters. Further ones are left out or cut.
_MAX_ANNOTATIONS, _MAX_ANNOTATIONS_SIZE = 1000, 500_000
# The years that a crash id can have.
_YEARS = range(2000, 2100)
# Names that the collector adds to the annotations.
_ADDED = frozenset({"metadata", "submitted_timestamp", "uuid", "version"})


class StackModule(NamedTuple):
    """A module on the stack of a crash."""

    debug_file: str
    debug_id: str
    code_file: str
    is_missing: bool = False
    """Whether its symbols are missing, and would name a frame that is not a guess."""


@dataclass(frozen=True, slots=True)
class CrashRow:
    """A crash in the index: the columns by which it is counted and searched, and the body that its page shows."""

    crash_id: str
    submitted: float
    """Seconds since 1970."""
    signature: str
    product: str = ""
    version: str = ""
    channel: str = ""
    build: str = ""
    os: str = ""
    os_version: str = ""
    cpu: str = ""
    process: str = ""
    reason: str = ""
    address: str = ""
    rule: str = ""
    """The throttle rule that kept it."""
    failed: str = ""
    """Why the crash, or its dump, could not be read. It is empty if both could."""
    words: str = ""
    """The text that searches for words look at."""
    loaded: str = ""
    """Names of the modules that the program had loaded."""
    annotations: dict[str, str] = field(default_factory=dict)
    """The annotations that summaries show."""
    stack_modules: tuple[StackModule, ...] = ()
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def day(self) -> str:
        """The day in the crash id, YYYYMMDD."""
        return crash_ids.date_of(self.crash_id)

    def as_json(self) -> dict[str, Any]:
        """Return the row in the form that ``from_json`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "CrashRow":
        """Return the row that another process has made with ``as_json``."""
        row = {one.name: found[one.name] for one in fields(cls)}
        row["stack_modules"] = tuple(StackModule(*item) for item in row["stack_modules"])
        return cls(**row)


def make_row(raw_crash: Mapping[str, Any], processed: "Processed", allowed: frozenset[str]) -> CrashRow:
    """Return the row of a crash. ``allowed`` are annotations that summaries may show in addition to ``HARMLESS``."""
    dump = processed["dump"] or {}
    annotations = _annotations(raw_crash)
    shown = {name: value for name, value in annotations.items() if name in HARMLESS or name in allowed}
    frames = [_frame_words(frame) for frame in dump.get("stack", [])]
    metadata = raw_crash.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    signature = _cell(processed["signature"])
    rule = _cell(metadata.get("throttle_rule", ""))
    failed = clean("" if processed["has_no_minidump"] else processed["trouble"])
    return CrashRow(
        crash_id=processed["crash_id"],
        submitted=submitted(raw_crash, processed["crash_id"]),
        signature=signature,
        product=_cell(identify(raw_crash, "product")),
        version=_cell(identify(raw_crash, "version")),
        channel=_cell(identify(raw_crash, "channel")),
        build=_cell(raw_crash.get("BuildID", "")),
        os=_cell(dump.get("os")),
        os_version=_cell(dump.get("os_version")),
        cpu=_cell(dump.get("cpu")),
        process=_cell(identify(raw_crash, "process_type")),
        reason=_cell(dump.get("crash_reason")),
        address=_cell(dump.get("crash_address")),
        rule=rule,
        failed=failed,
        words=_words([processed["signature"], *frames, *shown.values()]),
        loaded=_words(dict.fromkeys(base_name(module["name"]) for module in dump.get("modules", []))),
        annotations={name: value[:MAX_CELL] for name, value in shown.items()},
        stack_modules=_stack_modules(processed),
        body=_clean_json(
            {
                "processed": {
                    name: value
                    for name, value in (processed | {"signature": signature}).items()
                    if name != "stack_modules"
                },
                "annotations": annotations,
                "shown": sorted(shown),
                "notes": [clean(to_text(note))[:MAX_VALUE] for note in _list(metadata.get("collector_notes"))],
                "rule": rule,
                "submitted": _cell(raw_crash.get("submitted_timestamp", "")),
                "failed": failed,
                "dumps": sorted(_cell(name) for name in _dict(metadata.get("dump_checksums"))),
            }
        ),
    )


def _stack_modules(processed: "Processed") -> tuple[StackModule, ...]:
    missing = {(item["debug_file"], item["debug_id"]) for item in processed["missing"]}
    return tuple(
        StackModule(
            _cell(base_name(item["debug_file"])),
            _cell(item["debug_id"]),
            _cell(base_name(item["code_file"])),
            (item["debug_file"], item["debug_id"]) in missing,
        )
        for item in processed["stack_modules"]
    )


def failed_row(crash_id: str, why: str) -> CrashRow:
    """Return the row of a crash that cannot be read at all. Its page says why."""
    return CrashRow(
        crash_id=crash_id,
        submitted=submitted({}, crash_id),
        signature="EMPTY: the crash cannot be read",
        failed=clean(why),
        words=clean(why),
        body={
            "processed": None, "annotations": {}, "shown": [], "notes": [], "rule": "", "submitted": "", "dumps": [],
            "failed": clean(why),
        },
    )  # fmt: skip


def submitted(raw_crash: Mapping[str, Any], crash_id: str) -> float:
    """Return when a crash came in, in seconds since 1970.

    If the raw crash does not say it, or says a time that no crash id can have, this is midnight of the day in the
    crash id.
    """
    day = datetime.strptime(crash_ids.date_of(crash_id), "%Y%m%d").replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(raw_crash["submitted_timestamp"])
    except (KeyError, TypeError, ValueError):
        return day.timestamp()
    return (moment if moment.year in _YEARS else day).timestamp()


def clean(text: str) -> str:
    """Return ``text`` without halves of surrogate pairs, which JSON can have and UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _clean_json(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(clean(json.dumps(value, ensure_ascii=False)))
    return found


def base_name(path: str) -> str:
    """Return the name of a file, from a path of any system. The directory is left out: it may have a user's name."""
    return PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name


def _frame_words(frame: Mapping[str, Any]) -> str:
    names = [inline["function"] for inline in frame.get("inlines", ())]
    return "\n".join(name for name in (*names, frame.get("function"), frame.get("module")) if name)


def _words(texts: Iterable[str]) -> str:
    return clean("\n".join(text[:_MAX_WORDS_OF_ONE] for text in texts)[:_MAX_WORDS])


def _cell(value: object) -> str:
    return "" if value is None else clean(to_text(value))[:MAX_CELL]


def _annotations(raw_crash: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    left = _MAX_ANNOTATIONS_SIZE
    for name, value in list(raw_crash.items())[:_MAX_ANNOTATIONS]:
        if name not in _ADDED:
            text = clean(to_text(value))
            most = min(MAX_VALUE, left)
            found[clean(name)[:MAX_CELL]] = text if len(text) <= most else f"{text[:most]} … (cut)"
            left -= min(len(text), most)
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
