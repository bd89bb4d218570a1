# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Collects the parts of a body as they arrive, and makes a crash report of them at the end."""

from collections.abc import Callable
from dataclasses import dataclass

from antenna.crash import Buffer, CrashReport, Dump, Room, dump_names
from antenna.hub import Turn, pread
from antenna.limits import PART_LIMITS, PartLimits
from antenna.payload.annotations import AnnotationPart, read_annotations
from antenna.payload.headers import read_head
from antenna.payload.memory import AnnotationShare
from antenna.payload.notes import Notes, shorten
from antenna.payload.transfer_encoding import DECODERS, IDENTITY, EncodedContent
from antenna.refusal import Reason, Refusal

# Content types that dumps should have. A dump with another type is accepted, and a note is added.
_DUMP_TYPES = frozenset({"application/octet-stream", "application/gzip"})


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
    #: Called with the content when it has been decoded.
    take: Callable[[bytes], None]


class PartCollector:
    """Takes the parts of one body from the parser. ``report()`` makes a crash report of them.

    The type of a part, and whether it has a file name, decide whether it is an annotation or a dump. Its name does not
    matter. All annotations share one buffer, so that thousands of annotations take at most one temporary file. Raises
    ``Refusal``. Call ``close()`` in any case: it releases memory and temporary files.
    """

    def __init__(self, room: Room, limits: PartLimits = PART_LIMITS) -> None:
        """``room`` bounds the memory and the disk that all parts together may take."""
        self._limits = limits
        self._room = room
        self._annotation_bytes = Buffer(room)
        self._annotations: list[AnnotationPart] = []
        self._dumps: list[_DumpPart] = []
        self._nameless = 0
        self._notes = Notes()
        self._take: Callable[[bytes], None] = self._ignore
        # The current part if it has a transfer encoding, and the bytes of all such parts before it, as they were sent.
        self._encoded: _EncodedPart | None = None
        self._encoded_size = 0

    @property
    def annotations_size(self) -> int:
        """Bytes of all annotations so far, as they were sent."""
        return self._annotation_bytes.size

    def close(self) -> None:
        """Release memory and temporary files."""
        self._annotation_bytes.close()
        for dump in self._dumps:
            dump.content.close()
        if self._encoded is not None:
            self._encoded.content.close()

    def part_begun(self, block: bytes) -> None:
        """Decide what the part is. Raises ``Refusal`` (``TOO_LARGE``) if it has too many headers."""
        head = read_head(block)
        if head.name is None:
            self._begin_nameless()
        elif head.media_type == "application/json":
            self._begin_annotation(AnnotationPart(head.name, None))
        elif head.media_type in ("", "text/plain") and not head.has_file_name:
            self._begin_annotation(AnnotationPart(head.name, head.charset))
        else:
            self._begin_dump(head.name, head.media_type)
        if head.name is not None and head.transfer_encoding not in IDENTITY:
            self._begin_encoded(head.name, head.transfer_encoding)

    def part_data(self, piece: bytes) -> None:
        """Take the next bytes of the current part."""
        self._take(piece)

    def part_ended(self) -> None:
        """End the current part."""
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

    def _begin_annotation(self, part: AnnotationPart) -> None:
        if len(self._annotations) >= self._limits.annotations:
            raise Refusal(Reason.TOO_LARGE, "annotations")
        self._check_length(len(part.name))
        self._annotations.append(part)
        self._take = self._take_annotation

    def _take_annotation(self, piece: bytes) -> None:
        part = self._annotations[-1]
        part.size += len(piece)
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
        """Decode the content before it is handled as that of an annotation or a dump."""
        decoder = DECODERS.get(encoding)
        if decoder is None:
            self._notes.add(f"Kept {shorten(name)} as it came: unknown transfer encoding {shorten(encoding)}.")
            return
        max_size = self._limits.encoded_size - self._encoded_size
        if self._take == self._take_annotation:
            max_size = min(max_size, self._limits.annotations_size - self.annotations_size)
        content = EncodedContent(decoder(), self._room, max_size)
        self._encoded = _EncodedPart(name, encoding, content, self._take)
        self._take = content.append

    def _end_encoded(self, part: _EncodedPart) -> None:
        self._encoded_size += part.content.size
        content, is_decoded = part.content.finish()
        if is_decoded:
            self._notes.add(f"Decoded {shorten(part.name)} from {part.encoding}.")
        else:
            self._notes.add(f"Kept {shorten(part.name)} as it came: damaged {part.encoding}.")
        content.flush()
        for piece in content.pieces(pread):
            part.take(piece)
        part.content.close()
        self._encoded = None

    def report(self, checksum_algorithm: str, memory: AnnotationShare) -> CrashReport:
        """Make a crash report of the parts. Its annotations take part of the ``memory``.

        Raises ``Refusal`` if the annotations are malformed or too many, and what ``memory`` raises.
        """
        memory.reserve_bytes(self.annotations_size)
        report = CrashReport(annotations_size=self.annotations_size)
        self._fill_annotation_parts()
        self._annotation_bytes.close()  # so that the bytes are not in memory twice while they are decoded
        report.annotations = read_annotations(self._annotations, self._notes, memory.reserve_items)
        if any(part.charset is None for part in self._annotations):
            report.payload = "json"
        self._annotations.clear()  # so that annotations are not in memory twice while the crash is saved
        if len(report.annotations) > self._limits.annotations:
            raise Refusal(Reason.TOO_LARGE, "annotations")
        self._check_length(max(map(len, report.annotations)))
        self._add_dumps(report, checksum_algorithm)
        if self._nameless:
            self._notes.add(f"Ignored parts without a name: {self._nameless}.")
        report.notes = self._notes.as_list()
        return report

    def _fill_annotation_parts(self) -> None:
        """Give each annotation its bytes. In the buffer, the annotations lie one after the other."""
        self._annotation_bytes.flush()
        pieces = self._annotation_bytes.pieces(pread)
        piece, position = b"", 0
        turn = Turn()
        for part in self._annotations:
            content = [piece[position : position + part.size]]
            position += len(content[0])
            missing = part.size - len(content[0])
            while missing:
                piece = next(pieces)
                position = min(missing, len(piece))
                content.append(piece[:position])
                missing -= position
            part.content = b"".join(content)
            turn.pass_on()

    def _check_length(self, longest_name: int) -> None:
        if longest_name > self._limits.annotation_name_size:
            raise Refusal(Reason.TOO_LARGE, "annotation name")

    def _add_dumps(self, report: CrashReport, checksum_algorithm: str) -> None:
        names = dump_names.assign([part.name for part in self._dumps])
        for name, part in zip(names, self._dumps, strict=True):
            if name != part.wire_name:
                self._notes.add(f"Dump {shorten(part.wire_name)} is stored as {name}.")
            if part.media_type and part.media_type not in _DUMP_TYPES:
                self._notes.add(f"Dump {name} has content type {shorten(part.media_type)}.")
            part.content.flush()
            report.dumps[name] = Dump(name, part.content, checksum_algorithm)
