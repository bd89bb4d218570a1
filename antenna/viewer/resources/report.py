# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/report/<id>``: the page of one crash, and its downloads."""

from collections.abc import Mapping
from typing import Any

import falcon

from antenna.backend import BackendError
from antenna.crash import crash_id as crash_ids
from antenna.crash import dump_path, raw_crash_path
from antenna.ext import CrashStorageBase
from antenna.minidump import describe_system
from antenna.viewer.access import Level, require_protected
from antenna.viewer.index import Index
from antenna.viewer.pages import Pages, moment
from antenna.viewer.rows import base_name

# Parts of a dump that may have secrets of the program's user.
_PROTECTED = frozenset({"registers", "comments", "crashpad_annotations", "module_annotations", "mac_crash_info"})


# Annotations in which a program says why it ends itself.
_LAST_WORDS = ("MozCrashReason", "AbortMessage")


class ReportResource:
    """A crash, as a page or as JSON."""

    def __init__(self, index: Index, storage: CrashStorageBase, pages: Pages) -> None:
        """The page shows what is in ``index``. Downloads come from ``storage``."""
        self._index = index
        self._storage = storage
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response, crash_id: str) -> None:
        """Answer with the page."""
        crash_id = _parse(crash_id)
        report = self.report(req, crash_id)
        processed = report["processed"] or {}
        dump = processed.get("dump")
        self._pages.render(
            resp,
            "report.html",
            req=req,
            crash_id=crash_id,
            report=report,
            processed=report["processed"],
            dump=dump,
            facts=_facts(dump, self._index.cells(crash_id)),
            messages=_messages(report["annotations"], dump),
            said=_said(processed) if dump else [],
            missing={(item["debug_file"], item["debug_id"]) for item in processed.get("missing", [])},
            is_protected=req.context.level >= Level.PROTECTED,
        )

    def on_get_json(self, req: falcon.Request, resp: falcon.Response, crash_id: str) -> None:
        """Answer with the content of the page, as JSON."""
        resp.media = self.report(req, _parse(crash_id))

    def on_get_raw(self, req: falcon.Request, resp: falcon.Response, crash_id: str) -> None:
        """Answer with the raw crash, from the storage."""
        require_protected(req)
        crash_id = _parse(crash_id)
        self._download(resp, raw_crash_path(crash_id), f"{crash_id}.json", falcon.MEDIA_JSON)

    def on_get_dump(self, req: falcon.Request, resp: falcon.Response, crash_id: str, name: str) -> None:
        """Answer with a dump, from the storage."""
        require_protected(req)
        crash_id = _parse(crash_id)
        if name not in self._body(crash_id)["dumps"]:
            raise falcon.HTTPNotFound(title="The crash has no such dump", description=name)
        self._download(resp, dump_path(crash_id, name), f"{crash_id}.{name}.dmp", "application/octet-stream")

    def report(self, req: falcon.Request, crash_id: str) -> dict[str, Any]:
        """Return the parts of a crash that the sender of the request may see."""
        body = self._body(crash_id)
        shown = set(body.pop("shown"))
        body["hidden"] = 0
        if req.context.level < Level.PROTECTED:
            body["hidden"] = len(body["annotations"].keys() - shown)
            body["annotations"] = {name: value for name, value in body["annotations"].items() if name in shown}
            body["dumps"] = []
            body["notes"] = []
            body["processed"] = _summary(body["processed"])
        return body

    def _body(self, crash_id: str) -> dict[str, Any]:
        body = self._index.body(crash_id)
        if body is None:
            raise falcon.HTTPNotFound(
                title="This crash is not in the index",
                description="It may be read in some seconds. Or it is older than what the viewer keeps.",
            )
        return body

    def _download(self, resp: falcon.Response, path: str, name: str, content_type: str) -> None:
        try:
            content = self._storage.load(path)
        except BackendError as error:
            raise falcon.HTTPServiceUnavailable(title="The storage is away", description=str(error)) from error
        if content is None:
            raise falcon.HTTPNotFound(title="The storage does not have it any more", description=path)
        resp.content_type = content_type
        resp.downloadable_as = name
        resp.data = content


def _parse(text: str) -> str:
    crash_id = text.removeprefix("bp-")
    if not crash_ids.is_valid(crash_id):
        raise falcon.HTTPNotFound(title="Not a crash id", description=text)
    return crash_id


def _summary(processed: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a processed crash without protected data. Paths of files are cut to the names of the files."""
    if processed is None:
        return None
    found = {name: value for name, value in processed.items() if name != "protected"}
    found["missing"] = [
        item | {"code_file": base_name(item["code_file"]), "debug_file": base_name(item["debug_file"])}
        for item in found["missing"]
    ]
    if dump := found["dump"]:
        dump = {name: value for name, value in dump.items() if name not in _PROTECTED}
        dump["modules"] = [
            module | {"code_file": base_name(module["code_file"]), "debug_file": base_name(module["debug_file"])}
            for module in dump["modules"]
        ]
        found["dump"] = dump
    return found


def _facts(dump: dict[str, Any] | None, cells: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the facts at the top of the page, as names and values. ``cells`` has the columns of the index."""
    found: dict[str, str | None] = {
        name.capitalize(): cells[name] for name in ("product", "version", "channel", "build", "process")
    }
    if dump is not None:
        uptime = dump["uptime_seconds"]
        found |= {
            "Reason": dump["crash_reason"],
            "Address": dump["crash_address"],
            "System": describe_system(dump["os"] or "", dump["os_version"] or ""),
            "CPU": " ".join(filter(None, (dump["cpu"], dump["cpu_info"]))),
            "Time of the crash": f"{moment(dump['time'])} UTC" if dump["time"] else None,
            "Uptime": None if uptime is None else f"{uptime:,.0f} s",
            "Process id": None if dump["process_id"] is None else str(dump["process_id"]),
        }
    return [(name, value) for name, value in found.items() if value]


def _messages(annotations: Mapping[str, str], dump: dict[str, Any] | None) -> list[str]:
    """Return the messages with which the program ended itself, each once."""
    found = [annotations.get(name, "") for name in _LAST_WORDS]
    if dump is not None:
        found.append(dump["assertion"] or "")
    return list(dict.fromkeys(text for text in found if text))


def _said(processed: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the protected parts of a dump that have any content: a heading, names and values."""
    dump = processed["dump"]
    modules = [
        (name, value)
        for module in dump.get("module_annotations", ())
        for name, value in (
            *module["simple"].items(), *module["objects"].items(), *(("", line) for line in module["list"]),
        )
    ]  # fmt: skip
    found = {
        "Comments": [("", text) for text in dump.get("comments", ())],
        "Annotations in the dump": [*dump.get("crashpad_annotations", {}).items(), *modules],
        "Messages of macOS": [
            (said["module"], message) for said in dump.get("mac_crash_info", ()) for message in said["messages"]
        ],
        "Process": list(processed.get("protected", {}).items()),
    }
    return [(heading, values) for heading, values in found.items() if values]
