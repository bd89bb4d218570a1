# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The parts of a body, collected as they arrive and put together to a crash report in the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from antenna.crash import dump_names
from antenna.crash.buffer import Buffer, Room
from antenna.crash.report import CrashReport, Dump
from antenna.hub import Turn, pread
from antenna.limits import MAX_JSON_VALUES, Limits
from antenna.payload.annotations import (
    LongNumbers,
    count_values,
    decode_json,
    decode_text,
    decode_texts,
    note_repeated,
    shorten,
)
from antenna.payload.headers import read_head
from antenna.payload.transfer_encoding import DECODERS, IDENTITY, EncodedContent
from antenna.refusal import Reason, Refusal

NOTE_BOTH = "includes annotations in both json-encoded extra and formdata parts"

# Types that dumps are meant to have; any other is accepted with a note.
_DUMP_TYPES = frozenset({"application/octet-stream", "application/gzip"})


@dataclass(slots=True)
class _AnnotationPart:
    name: str
    charset: str
    is_json: bool
    size: int = 0


@dataclass(slots=True)
class _DumpPart:
    name: str
    wire_name: str
    media_type: str
    content: Buffer


@dataclass(slots=True)
class _EncodedPart:
    name: str
    encoding: str
    content: EncodedContent
    #: Takes the content when it is decoded.
    take: Callable[[bytes], None]


class PartCollector:
    """Takes the parts of one body from the parser; ``report()`` makes a crash report of them.

    What a part is, is decided by its type and whether it has a file name, not by its name.
    All annotations share one buffer, so that thousands of them take one temporary file at most.
    Raises ``Refusal``; ``close()`` gives memory and temporary files back.
    """

    def __init__(self, limits: Limits, room: Room) -> None:
        """``room`` is what all parts together may take."""
        self._limits = limits
        self._room = room
        self._annotation_bytes = Buffer(room)
        self._annotations: list[_AnnotationPart] = []
        self._dumps: list[_DumpPart] = []
        self._nameless = 0
        #: Values and names in JSON that have been decoded.
        self.json_values = 0
        self._long_numbers = LongNumbers()
        self._notes: list[str] = []
        self._take: Callable[[bytes], None] = self._ignore
        # The current part, if it has a transfer encoding.
        self._encoded: _EncodedPart | None = None

    @property
    def annotations_size(self) -> int:
        """Bytes of all annotations so far, as they arrived."""
        return self._annotation_bytes.size

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._annotation_bytes.close()
        for dump in self._dumps:
            dump.content.close()
        if self._encoded is not None:
            self._encoded.content.close()

    def part_begun(self, block: bytes) -> None:
        """Decide what the part is. Raises ``Refusal`` (``TOO_LARGE``) for too many headers."""
        head = read_head(block)
        if head.name is None:
            self._begin_nameless()
        elif head.media_type == "application/json":
            self._begin_annotation(_AnnotationPart(head.name, "utf-8", is_json=True))
        elif head.media_type in ("", "text/plain") and not head.has_file_name:
            self._begin_annotation(_AnnotationPart(head.name, head.charset, is_json=False))
        else:
            self._begin_dump(head.name, head.media_type)
        if head.name is not None and head.transfer_encoding not in IDENTITY:
            self._begin_encoded(head.name, head.transfer_encoding)

    def part_data(self, piece: bytes) -> None:
        """Take content of the current part."""
        self._take(piece)

    def part_ended(self) -> None:
        """Leave the part."""
        if self._encoded is not None:
            self._end_encoded(self._encoded)
        self._take = self._ignore

    def _ignore(self, piece: bytes) -> None:
        pass

    def _begin_nameless(self) -> None:
        self._nameless += 1
        if self._nameless > self._limits.annotations:
            raise Refusal(Reason.TOO_LARGE, "parts")
        self._take = self._ignore

    def _begin_annotation(self, part: _AnnotationPart) -> None:
        if len(self._annotations) >= self._limits.annotations:
            raise Refusal(Reason.TOO_LARGE, "annotations")
        self._check_length(len(part.name))
        self._annotations.append(part)
        self._take = self._take_annotation

    def _take_annotation(self, piece: bytes) -> None:
        part = self._annotations[-1]
        part.size += len(piece)
        if not part.is_json and part.size > self._limits.annotation_value_size:
            raise Refusal(Reason.TOO_LARGE, "annotation value")
        if self.annotations_size + len(piece) > self._limits.annotations_size:
            raise Refusal(Reason.TOO_LARGE, "size of annotations")
        self._annotation_bytes.append(piece)

    def _begin_dump(self, name: str, media_type: str) -> None:
        if len(self._dumps) >= self._limits.dumps:
            raise Refusal(Reason.TOO_LARGE, "dumps")
        content = Buffer(self._room)
        self._dumps.append(_DumpPart(dump_names.sanitize(name), name, media_type, content))
        self._take = content.append

    def _begin_encoded(self, name: str, encoding: str) -> None:
        """Decode what comes before the part takes it."""
        decoder = DECODERS.get(encoding)
        if decoder is None:
            self._notes.append(f"Kept {shorten(name)} as it came: unknown transfer encoding {shorten(encoding)}.")
            return
        # Of dumps the body's own limit is the only one.
        is_dump = self._take != self._take_annotation
        max_size = self._limits.decompressed_size if is_dump else self._limits.annotations_size - self.annotations_size
        content = EncodedContent(decoder(), self._room, max_size)
        self._encoded = _EncodedPart(name, encoding, content, self._take)
        self._take = content.append

    def _end_encoded(self, part: _EncodedPart) -> None:
        content, is_decoded = part.content.finish()
        if is_decoded:
            self._notes.append(f"Decoded {shorten(part.name)} from {part.encoding}.")
        else:
            self._notes.append(f"Kept {shorten(part.name)} as it came: damaged {part.encoding}.")
        content.flush()
        for piece in content.pieces(pread):
            part.take(piece)
        part.content.close()
        self._encoded = None

    def report(self, checksum_algorithm: str) -> CrashReport:
        """Make a crash report of the parts.

        Raises ``Refusal`` for annotations that are not what they should be, or too many.
        """
        report = CrashReport(annotations_size=self.annotations_size, notes=self._notes)
        self._add_annotations(report)
        self._annotation_bytes.close()  # decoded now, and so not twice in memory while the crash is moved on
        self._add_dumps(report, checksum_algorithm)
        if self._nameless:
            report.notes.append(f"Ignored parts without a name: {self._nameless}.")
        return report

    def _add_annotations(self, report: CrashReport) -> None:
        texts: dict[str, Any] = {}
        values: dict[str, Any] = {}
        content = self._annotation_bytes.getvalue()
        position = 0
        turn = Turn()
        for part in self._annotations:
            turn.pass_on()
            data = content[position : position + part.size]
            position += part.size
            if part.is_json:
                report.payload = "json"
                self._add_values(values, data, report.notes, turn)
            elif (text := decode_text(data, part.charset)) is None:
                report.notes.append(f"Removed {shorten(part.name)}: not valid in its charset.")
            else:
                if part.name in texts:
                    report.notes.append(note_repeated(part.name))
                texts[part.name] = text
        if texts and values:
            report.notes.append(NOTE_BOTH)
        report.annotations = {**texts, **values}
        if not report.annotations:
            raise Refusal(Reason.NO_ANNOTATIONS)
        if len(report.annotations) > self._limits.annotations:
            raise Refusal(Reason.TOO_LARGE, "annotations")

    def _add_values(self, values: dict[str, Any], data: bytes, notes: list[str], turn: Turn) -> None:
        decoded: dict[str, Any] | None = decode_texts(data)
        self.json_values += count_values(data) if decoded is None else len(decoded)
        if self.json_values > MAX_JSON_VALUES:
            raise Refusal(Reason.TOO_LARGE, "JSON values")
        if decoded is None:
            turn.pass_on()
            decoded, notes_on_json = decode_json(data, self._long_numbers)
            notes += notes_on_json
        self._check_length(max(map(len, decoded), default=0))
        notes += [note_repeated(name) for name in decoded if name in values]
        values.update(decoded)

    def _check_length(self, longest_name: int) -> None:
        if longest_name > self._limits.annotation_name_size:
            raise Refusal(Reason.TOO_LARGE, "annotation name")

    def _add_dumps(self, report: CrashReport, checksum_algorithm: str) -> None:
        names = dump_names.assign([part.name for part in self._dumps])
        for name, part in zip(names, self._dumps, strict=True):
            if name != part.wire_name:
                report.notes.append(f"Dump {shorten(part.wire_name)} is stored as {name}.")
            if part.media_type and part.media_type not in _DUMP_TYPES:
                report.notes.append(f"Dump {name} has content type {shorten(part.media_type)}.")
            part.content.flush()
            report.dumps[name] = Dump(name, part.content, checksum_algorithm)
