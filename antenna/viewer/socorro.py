# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Returns a crash in the form in which Socorro's processor writes it, so that tools for Crash Stats can read a viewer.

The names are those of Socorro's schema of processed crashes. A value that the viewer does not have is left out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from antenna.viewer.rows import base_name, clean
from antenna.viewer.supersearch.facts import PLATFORMS, to_boolean, to_number
from antenna.viewer.supersearch.fields import FIELDS, Kind, snake_case

# Fields of the search that have the same names in Socorro's processed crashes.
_FACTS = (
    "signature", "proto_signature", "product", "version", "release_channel", "process_type", "reason", "address",
    "cpu_arch", "cpu_info", "cpu_count", "crashing_thread_name", "uptime", "install_age",
)  # fmt: skip
# Names of annotations in Socorro, if they are not made by ``snake_case``.
_NAMES = {"Comments": "user_comments"} | {name: field.name for field in FIELDS for name in field.annotations}
_KINDS = {field.name: field.kind for field in FIELDS}
# Annotations with JSON, which Socorro decodes.
_JSON = frozenset({"JavaException", "TelemetryEnvironment"})


def processed_crash(report: Mapping[str, Any], facts: Mapping[str, Any], crash_id: str) -> dict[str, Any]:
    """Return the processed crash.

    ``report`` has the parts of the crash that the sender of the request may see. ``facts`` are the fields of the
    search.
    """
    processed = report["processed"] or {}
    dump = processed.get("dump")
    modules, files = facts.get("modules_in_stack"), facts.get("topmost_filenames")
    found: dict[str, Any] = {
        "uuid": crash_id,
        "date_processed": report["submitted"],
        "submitted_timestamp": report["submitted"],
        "success": dump is not None,
        "mdsw_status_string": "OK" if dump else processed.get("trouble") or report["failed"],
        "processor_notes": report["failed"],
        "collector_notes": report["notes"],
        "additional_minidumps": [name for name in report["dumps"] if name != "upload_file_minidump"],
        "os_name": facts.get("platform"),
        "os_version": facts.get("platform_version"),
        "os_pretty_version": facts.get("platform_pretty_version"),
        "build": str(facts.get("build_id") or ""),
        "modules_in_stack": ";".join(modules) if modules else None,
        "topmost_filenames": files[0] if files else None,
    }
    found |= {name: facts.get(name) for name in _FACTS}
    for name, value in _annotations(report["annotations"]).items():
        found.setdefault(name, value)
    if dump:
        found["json_dump"] = json_dump(dump, processed["missing"])
        found["crash_info"] = found["json_dump"]["crash_info"]
        found["crashing_thread"] = found["crash_info"]["crashing_thread"]
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _annotations(annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return annotations under Socorro's names. Numbers and booleans are decoded."""
    found: dict[str, Any] = {}
    for name, text in annotations.items():
        called = _NAMES.get(name) or snake_case(name)
        kind = _KINDS.get(called)
        value: Any = text
        if kind is Kind.NUMBER:
            value = to_number(text)
        elif kind is Kind.BOOLEAN:
            known = to_boolean(text)
            value = None if known is None else bool(known)
        elif name in _JSON:
            value = _parsed(text)
        found[called] = value
    return found


def _parsed(text: str) -> Any:
    """Return the JSON in an annotation, or None if it is not valid.

    Python reads NaN, infinities and halves of surrogate pairs. An answer cannot have them, because no JSON in UTF-8
    has.
    """
    try:
        return json.loads(clean(json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)))
    except (ValueError, RecursionError):
        return None


def json_dump(dump: Mapping[str, Any], missing: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the facts about a minidump, in the form in which rust-minidump's stackwalker writes them."""
    lacking = {(item["debug_file"], item["debug_id"]) for item in missing}
    modules = [_module(module, lacking) for module in dump["modules"]]
    unknown = {module["filename"] for module in modules if module["missing_symbols"]}
    threads, crashing = _threads(dump, unknown)
    return {
        "status": "OK",
        "crash_info": {
            "type": dump["crash_reason"],
            "address": dump["crash_address"],
            "assertion": dump.get("assertion") or None,
            "crashing_thread": crashing,
        },
        "crashing_thread": None if crashing is None else threads[crashing] | {"threads_index": crashing},
        "main_module": 0 if modules else None,
        "modules": modules,
        "unloaded_modules": [_unloaded(module) for module in dump["unloaded_modules"]],
        "pid": dump["process_id"],
        "system_info": {
            "os": PLATFORMS.get(dump["os"], dump["os"]),
            "os_ver": dump["os_version"],
            "cpu_arch": dump["cpu"],
            "cpu_info": dump["cpu_info"],
            "cpu_count": dump["cpu_count"],
        },
        "thread_count": dump["thread_count"],
        "threads": threads,
    }


def _threads(dump: Mapping[str, Any], unknown: set[str]) -> tuple[list[dict[str, Any]], int | None]:
    """Return the threads, and the index of the one that crashed among them."""
    crashing = dump["requesting_thread_index"]
    threads = [
        _thread(thread["stack"], thread["name"], unknown) | {"thread_id": thread["id"]} for thread in dump["threads"]
    ]
    if crashing is None or crashing >= len(threads):
        # If a crash is huge, or has very many threads, the one that crashed is not among those that are kept.
        threads.append(_thread(dump["stack"], None, unknown))
        return (threads, len(threads) - 1) if dump["stack"] else (threads[:-1], None)
    if dump.get("registers") and threads[crashing]["frames"]:
        threads[crashing]["frames"][0]["registers"] = dump["registers"]
    return threads, crashing


def _thread(stack: Sequence[Mapping[str, Any]], name: str | None, unknown: set[str]) -> dict[str, Any]:
    frames = [_frame(number, frame, unknown) for number, frame in enumerate(stack)]
    return {"frame_count": len(frames), "frames": frames, "thread_name": name}


def _frame(number: int, frame: Mapping[str, Any], unknown: set[str]) -> dict[str, Any]:
    return {
        "frame": number,
        "offset": frame["address"],
        "module": frame["module"],
        "module_offset": frame["offset"],
        "function": frame.get("function"),
        "file": frame.get("file"),
        "line": frame.get("line"),
        "trust": frame["trust"],
        "inlines": frame.get("inlines") or None,
        "missing_symbols": frame["module"] in unknown,
    }


def _module(module: Mapping[str, Any], lacking: set[tuple[str, str]]) -> dict[str, Any]:
    is_missing = (module["debug_file"] or module["name"], module["debug_id"]) in lacking
    return {
        "filename": module["name"],
        "version": module["version"],
        "code_id": module["code_id"],
        "debug_file": base_name(module["debug_file"]),
        "debug_id": module["debug_id"],
        "missing_symbols": is_missing,
        **_range(module),
    }


def _unloaded(module: Mapping[str, Any]) -> dict[str, Any]:
    return {"filename": module["name"], "code_id": module["code_id"], **_range(module)}


def _range(module: Mapping[str, Any]) -> dict[str, str]:
    base, size = int(module["base"], 16), int(module["size"], 16)
    return {"base_addr": hex(base), "end_addr": hex(base + size)}
