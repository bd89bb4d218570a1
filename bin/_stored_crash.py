# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Loads a stored crash: its raw crash, its dumps with their checksums verified, and the facts of its minidumps."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bin import _backends, _common, _crashes, _java, _minidumps  # isort: split

from antenna.crash import algorithms_of, dump_names_path, dump_path, identify, raw_crash_path
from antenna.ext import CrashStorageBase
from antenna.minidump import Minidump, MinidumpError
from antenna.symbols import Signature, Store, crash_facts, sign

MAIN_DUMP = "upload_file_minidump"


def verify(content: bytes | None, checksum: str | None, *, is_named: bool) -> str:
    """Return the name of the hash with which the checksum is right. If it is not, return the problem in capitals."""
    if content is None:
        return "MISSING"
    if checksum is None:
        return "NO CHECKSUM"
    if not is_named:
        return "NOT AMONG THE DUMP NAMES"
    for algorithm in algorithms_of(checksum):
        if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == checksum:
            return algorithm
    return "WRONG CHECKSUM"


def latest_id() -> str:
    """Return the id of the newest crash of today, or else of yesterday. Raises ``ToolError`` if there is none.

    All raw crashes of that day are read, because an id does not tell the time.
    """
    storage = _backends.storage()
    for day in ("today", "yesterday"):
        crashes = _crashes.Reader(storage).read(_backends.stored_ids(storage, _backends.parse_dates(day)))
        newest = max(crashes, key=lambda crash: crash.submitted, default=None)
        if newest is not None:
            return newest.crash_id
    raise _common.ToolError(f"no crash of today or yesterday (UTC) in {storage.place}")


@dataclass(frozen=True)
class StoredDump:
    """A dump: its object, whether its checksum is right, and its facts if it is a minidump."""

    name: str
    path: str
    size: int | None
    checksum: str | None
    verified: str
    read: _minidumps.ReadDump | None = field(default=None, repr=False)
    """The minidump. None if the dump is not a minidump, or cannot be read."""
    error: str = ""
    """Why the dump cannot be read, if it should be a minidump."""

    @property
    def is_whole(self) -> bool:
        """Whether the dump exists and is not damaged."""
        return self.verified in hashlib.algorithms_guaranteed

    def as_json(self) -> dict[str, Any]:
        """Return the facts about the object."""
        found = {name: getattr(self, name) for name in ("name", "path", "size", "checksum", "verified")}
        return found | ({"error": self.error} if self.error else {})

    def describe(self) -> str:
        """Return one line about the object."""
        size = "" if self.size is None else f"{self.size:,} bytes, "
        return _minidumps.line(f"{self.path}: {self.name}, {size}{self.verified}{' verified' if self.is_whole else ''}")


@dataclass(frozen=True)
class StoredCrash:
    """A crash with everything that is stored of it."""

    crash_id: str
    raw_crash: dict[str, Any]
    dump_names: Any
    """The stored list of dump names. None if there is none."""
    dumps: tuple[StoredDump, ...]

    @cached_property
    def main(self) -> StoredDump | None:
        """The dump of the process that crashed. None if it is not a minidump, or cannot be read."""
        return next((dump for dump in self.dumps if dump.name == MAIN_DUMP and dump.read), None)

    @cached_property
    def signature(self) -> Signature:
        """The signature of the crash."""
        product = identify(self.raw_crash, "product")
        names = [dump.name for dump in self.dumps]
        if self.main is not None and self.main.read is not None:
            return self.main.read.sign(self.raw_crash, product, names)
        broken = next((dump.error for dump in self.dumps if dump.name == MAIN_DUMP and dump.error), "")
        trouble = f"the minidump cannot be read: {broken}" if broken else ""
        return sign(crash_facts(self.raw_crash, product, names, None, trouble))

    @property
    def problems(self) -> list[str]:
        """One text for each part of the crash that is missing or damaged."""
        found = [] if self.dump_names is not None else [f"{dump_names_path(self.crash_id)}: MISSING"]
        for dump in self.dumps:
            if not dump.is_whole:
                found.append(f"{dump.name}: {dump.verified}")
            if dump.error:
                found.append(f"{dump.name} cannot be read: {dump.error}")
        return found

    @property
    def program(self) -> str:
        """The product and its version. It is "" if the crash does not state them."""
        return f"{identify(self.raw_crash, 'product')} {identify(self.raw_crash, 'version')}".strip()

    @property
    def summary(self) -> str:
        """One line that says what crashed, why, where, and on what system."""
        if self.main is not None and self.main.read is not None:
            return self.main.read.facts.summary(self.program)
        program = self.program or "unknown product"
        if java := _java.java_exception(self.raw_crash):
            return f"{program} · {java.title}"
        broken = next((dump.error for dump in self.dumps if dump.name == MAIN_DUMP), "")
        return f"{program} · {f'dump cannot be read: {broken}' if broken else 'no minidump'}"

    def as_json(self) -> dict[str, Any]:
        """Return the facts of the main dump, the raw crash, and all dumps with the facts of the other minidumps."""
        found: dict[str, Any] = {"crash_id": self.crash_id, "summary": self.summary}
        found |= {"signature": self.signature.text, "signature_rules": self.signature.rules}
        if self.main is not None and self.main.read is not None:
            found |= self.main.read.as_json(self.program, self.signature)
        java = _java.java_exception(self.raw_crash)
        found["java_exception"] = java and {"title": java.title, "stack": list(java.lines)}
        dumps = []
        for dump in self.dumps:
            entry = dump.as_json()
            if dump.read is not None and dump is not self.main:
                entry |= dump.read.as_json()
            dumps.append(entry)
        return found | {"raw_crash": self.raw_crash, "dump_names": self.dump_names, "dumps": dumps}

    def describe(self, shown: _minidumps.Shown) -> Iterator[str]:
        """Yield the lines that follow the summary."""
        if self.main is not None and self.main.read is not None:
            yield from self.main.read.describe(shown, self.signature)
        else:
            yield ""
            yield _minidumps.describe_signature(self.signature)
        yield from self._describe_java()
        yield from self._describe_raw_crash()
        for dump in self.dumps:
            if dump.read is not None and dump is not self.main:
                yield ""
                yield _minidumps.short(f"{dump.name}: {dump.read.facts.summary(self.program)}")
                yield from (f"  {text}".rstrip() for text in dump.read.describe(shown))
        yield ""
        names = "MISSING" if self.dump_names is None else json.dumps(self.dump_names)
        yield f"{dump_names_path(self.crash_id)}: {names}"
        yield from (dump.describe() for dump in self.dumps)

    def _describe_java(self) -> Iterator[str]:
        java = _java.java_exception(self.raw_crash)
        if java is not None:
            yield ""
            yield _minidumps.short(java.title)
            yield from (_minidumps.short(f"  {text}") for text in java.lines)

    def _describe_raw_crash(self) -> Iterator[str]:
        metadata = self.raw_crash.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        notes = metadata.pop("collector_notes", None)
        metadata.pop("dump_checksums", None)
        yield ""
        yield f"Annotations ({raw_crash_path(self.crash_id)}):"
        for name, value in sorted(self.raw_crash.items()):
            if name != "metadata":
                yield f"  {_minidumps.short(name)}: {_minidumps.short(_text(value))}"
        if metadata:
            yield ""
            yield "How it came:"
        for name, value in sorted(metadata.items()):
            yield f"  {_minidumps.short(name)}: {_minidumps.short(_text(value))}"
        if notes:
            yield ""
            yield "Notes of the collector:"
            yield from (
                f"  {_minidumps.short(_text(note))}" for note in (notes if isinstance(notes, list) else [notes])
            )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def load(crash_id: str, store: Store | None) -> StoredCrash:
    """Load a crash from the configured storage. ``store`` has the symbols.

    Raises ``ToolError`` if there is no raw crash, or it is damaged.
    """
    try:
        return _load(_backends.storage(), crash_id, store)
    except _backends.ERRORS as error:
        raise _common.ToolError(str(error)) from error


def _load(storage: CrashStorageBase, crash_id: str, store: Store | None) -> StoredCrash:
    path = raw_crash_path(crash_id)
    content = storage.load(path)
    if content is None:
        raise _common.ToolError(f"no crash {crash_id}: there is no {path}")
    raw_crash = _parse(content, path)
    if not isinstance(raw_crash, dict):
        raise _common.ToolError(f"{path} is not a JSON object")
    encoded_names = storage.load(dump_names_path(crash_id))
    names = None if encoded_names is None else _parse(encoded_names, dump_names_path(crash_id))
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _common.ToolError(f"{dump_names_path(crash_id)} is not a list of names")
    metadata = raw_crash.get("metadata")
    checksums = metadata.get("dump_checksums") if isinstance(metadata, dict) else None
    checksums = checksums if isinstance(checksums, dict) else {}
    dumps = [
        _load_dump(storage, dump_path(crash_id, name), name, checksums.get(name), store, is_named=name in (names or ()))
        for name in sorted({*(names or ()), *checksums})
    ]
    return StoredCrash(crash_id, raw_crash, names, tuple(dumps))


def _parse(content: bytes, path: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _common.ToolError(f"{path} is not JSON: {error}") from error


def _load_dump(
    storage: CrashStorageBase, path: str, name: str, checksum: str | None, store: Store | None, *, is_named: bool
) -> StoredDump:
    content = storage.load(path)
    read, error = None, ""
    # Some dumps are not minidumps, such as memory reports.
    if content is not None and (name.startswith(MAIN_DUMP) or content.startswith(b"MDMP")):
        try:
            read = _minidumps.ReadDump(Minidump(content), store)
        except MinidumpError as problem:
            error = str(problem)
    size = None if content is None else len(content)
    return StoredDump(name, path, size, checksum, verify(content, checksum, is_named=is_named), read, error)
