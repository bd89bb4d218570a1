# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The list of the fields that can be searched. The docs, the form and the tables are made from it.

If Crash Stats has a field as well, its name there is used.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of a field, on which its operators depend. The value is the name of the type at Crash Stats."""

    NAME = "enum"
    """A text that is searched as a whole."""
    TEXT = "string"
    """A text that is searched by its words."""
    VERSION = "version"
    """A name that has an order as well, such as 153.0b2 before 153.0."""
    MIXED = "string or number"
    """A name that may be a number. If it is, it can be compared as a number."""
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "bool"

    @property
    def is_text(self) -> bool:
        """Whether the values are texts. The index keeps texts in a table of their own."""
        return self in {Kind.NAME, Kind.TEXT, Kind.VERSION, Kind.MIXED}


_COMPARISONS = (">=", "<=", ">", "<")
_TEXT_OPERATORS = ("=", "~", "^", "$", "@")

#: The operators of each kind, which stand in front of a value. The longest come first. "" is an operator, too.
OPERATORS: dict[Kind, tuple[str, ...]] = {
    Kind.NAME: (*_TEXT_OPERATORS, ""),
    Kind.TEXT: (*_TEXT_OPERATORS, ""),
    Kind.VERSION: (*_COMPARISONS, *_TEXT_OPERATORS, ""),
    Kind.MIXED: (*_COMPARISONS, *_TEXT_OPERATORS, ""),
    Kind.NUMBER: (*_COMPARISONS, ""),
    Kind.DATE: _COMPARISONS,
    Kind.BOOLEAN: ("",),
}

#: The meaning of each operator, for the docs: a sentence about the value of a crash.
MEANINGS = {
    "": "The value is this one; upper and lower case are the same. A string contains these words, one after the other.",
    "=": "The value is exactly this one.",
    "~": "The value contains this text. Case counts.",
    "^": "The value starts with this text. Case counts.",
    "$": "The value ends with this text. Case counts.",
    "@": "The regular expression matches the whole value. Case counts.",
    ">": "The value is greater, newer or later.",
    ">=": "The value is greater, newer or later, or equal.",
    "<": "The value is less, older or earlier.",
    "<=": "The value is less, older or earlier, or equal.",
    "__null__": "The crash has no value.",
    "__true__": "The value is true.",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can be searched."""

    name: str
    kind: Kind
    doc: str
    annotations: tuple[str, ...] = ()
    """The annotations that may state its value. Their names can be used in place of the field's name."""
    is_many: bool = False
    """Whether a crash can have several values."""
    is_known: bool = True
    """Whether it is one of ``FIELDS``. If not, it is an annotation that VIEWER_ANNOTATIONS allows."""

    @property
    def has_column(self) -> bool:
        """Whether it has a column in the table ``facts``. If not, its values are in the table ``extra``."""
        return self.is_known and not self.is_many and self.name != "uuid"


FIELDS = (
    Field("date", Kind.DATE, "When the collector got the crash, in UTC."),
    Field("uuid", Kind.NAME, "The crash id."),
    Field("signature", Kind.TEXT, "The signature: crashes with the same cause have the same one."),
    Field("product", Kind.NAME, "The product.", ("ProductName", "_productName", "prod")),
    Field("version", Kind.VERSION, "The version of the product.", ("Version", "_version", "ver")),
    Field("release_channel", Kind.NAME, "The release channel.", ("ReleaseChannel", "channel")),
    Field("platform", Kind.TEXT, "The system as Crash Stats names it: Windows NT, Mac OS X, Linux, Android."),
    Field("process_type", Kind.NAME, "The process that crashed.", ("ProcessType", "ptype", "process_type")),
    Field("build_id", Kind.MIXED, "The build id.", ("BuildID",)),
    Field("reason", Kind.TEXT, "The reason of the crash, such as SIGSEGV / SEGV_MAPERR."),
    Field("address", Kind.NAME, "The address of the crash, such as 0x10."),
    Field("cpu_arch", Kind.NAME, "The CPU: amd64, x86, arm64, arm."),
    Field("cpu_info", Kind.TEXT, "Family, model and stepping of the CPU."),
    Field("cpu_count", Kind.NUMBER, "The number of processors."),
    Field("platform_version", Kind.TEXT, "The version of the system."),
    Field("platform_pretty_version", Kind.TEXT, "The system and its version."),
    Field("modules_in_stack", Kind.TEXT, "Modules on the stack of the crash, as NAME/DEBUG_ID.", is_many=True),
    Field("proto_signature", Kind.TEXT, "The functions on the stack of the crash, innermost first, with | between."),
    Field("topmost_filenames", Kind.TEXT, "The innermost source file on the stack that symbols name.", is_many=True),
    Field("crashing_thread_name", Kind.NAME, "The name of the thread that crashed."),
    Field("uptime", Kind.NUMBER, "Seconds from the start of the process to the crash."),
    Field("throttle_rule", Kind.NAME, "The throttle rule that kept the crash."),
    Field("processor_notes", Kind.TEXT, "Why the crash, or its dump, could not be read."),
    Field("install_age", Kind.NUMBER, "Seconds from the installation to the crash."),
    Field("abort_message", Kind.TEXT, "The message of an abort.", ("AbortMessage",)),
    Field("accessibility", Kind.BOOLEAN, "Whether accessibility services were used.", ("Accessibility",)),
    Field("adapter_device_id", Kind.NAME, "The graphics device.", ("AdapterDeviceID",)),
    Field("adapter_vendor_id", Kind.NAME, "The vendor of the graphics device.", ("AdapterVendorID",)),
    Field("android_manufacturer", Kind.NAME, "The manufacturer of the device.", ("Android_Manufacturer",)),
    Field("android_model", Kind.NAME, "The model of the device.", ("Android_Model",)),
    Field("android_packagename", Kind.NAME, "The Android package.", ("Android_PackageName",)),
    Field("android_version", Kind.NAME, "The version of Android.", ("Android_Version",)),
    Field(
        "async_shutdown_timeout",
        Kind.TEXT,
        "The steps for which the shutdown waited too long, in JSON.",
        ("AsyncShutdownTimeout",),
    ),
    Field("available_physical_memory", Kind.NUMBER, "Bytes of memory that were free.", ("AvailablePhysicalMemory",)),
    Field("crash_time", Kind.NUMBER, "When the program crashed, in seconds since 1970.", ("CrashTime",)),
    Field("dom_fission_enabled", Kind.NAME, "1 if sites had processes of their own.", ("DOMFissionEnabled",)),
    Field("graphics_critical_error", Kind.TEXT, "Errors that the graphics code reported.", ("GraphicsCriticalError",)),
    Field("hang", Kind.NAME, "Set if the program hung and was stopped for that.", ("Hang",)),
    Field("install_time", Kind.NUMBER, "When the program was installed, in seconds since 1970.", ("InstallTime",)),
    Field("ipc_channel_error", Kind.TEXT, "The error in the communication between processes.", ("ipc_channel_error",)),
    Field("last_crash", Kind.NUMBER, "Seconds since the previous crash.", ("SecondsSinceLastCrash",)),
    Field("moz_crash_reason", Kind.TEXT, "The message of an assertion.", ("MozCrashReason",)),
    Field("oom_allocation_size", Kind.NUMBER, "Size of the allocation that failed, in bytes.", ("OOMAllocationSize",)),
    Field("phc_kind", Kind.NAME, "The finding of the probabilistic heap checker, such as UseAfterFree.", ("PHCKind",)),
    Field("productid", Kind.NAME, "The id of the product.", ("ProductID",)),
    Field("safe_mode", Kind.BOOLEAN, "Whether the program ran in safe mode.", ("SafeMode",)),
    Field("shutdown_progress", Kind.NAME, "The step that the shutdown had reached.", ("ShutdownProgress",)),
    Field("startup_time", Kind.NUMBER, "When the program was started, in seconds since 1970.", ("StartupTime",)),
    Field("throttleable", Kind.BOOLEAN, "Whether the client let the collector throttle it.", ("Throttleable",)),
    Field("total_physical_memory", Kind.NUMBER, "Bytes of memory that the machine has.", ("TotalPhysicalMemory",)),
    Field("uptime_ts", Kind.NUMBER, "Seconds that the program had run, by its own count.", ("UptimeTS",)),
    Field("useragent_locale", Kind.NAME, "The language of the program.", ("useragent_locale",)),
    Field("vendor", Kind.NAME, "The vendor of the product.", ("Vendor",)),
)

#: The fields that have a column, in the order of the table ``facts``.
COLUMNS = tuple(field for field in FIELDS if field.has_column)


class FieldList:
    """The fields of one viewer: ``FIELDS``, and the annotations that VIEWER_ANNOTATIONS allows."""

    def __init__(self, annotations: Iterable[str]) -> None:
        """``annotations`` are those that summaries may show."""
        self._found: dict[str, Field] = {}
        for field in FIELDS:
            for name in field.annotations:
                self._found[name] = field
        self._found |= {field.name: field for field in FIELDS}
        self._own = [_annotation_field(name) for name in sorted(annotations) if name not in self._found]
        for field in self._own:
            self._found[field.annotations[0]] = field
        for field in self._own:
            self._found.setdefault(field.name, field)

    def __iter__(self) -> Iterator[Field]:
        yield from FIELDS
        yield from self._own

    def find(self, name: str) -> Field | None:
        """Return the field with a name, which may be that of an annotation. Returns None if there is none."""
        return self._found.get(name)

    def similar(self, name: str) -> list[str]:
        """Return names of fields that are similar to ``name``, for an error message."""
        return difflib.get_close_matches(name.lower(), [field.name for field in self], n=3, cutoff=0.75)


def _annotation_field(annotation: str) -> Field:
    doc = f"The annotation {annotation}."
    return Field(snake_case(annotation), Kind.MIXED, doc, (annotation,), is_known=False)


def snake_case(annotation: str) -> str:
    """Return the name of an annotation in the style of Crash Stats' fields: MyTeamID becomes my_team_id."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", annotation)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or annotation
