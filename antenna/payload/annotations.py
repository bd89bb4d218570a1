# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Builds the annotations of a report from its parts of text and its parts of JSON.

A client may send few bytes that take much memory once they are decoded. So each cost is bounded before it arises, in
this order:

1. ``parts`` bounds the bytes of annotations while they arrive, and reserves memory before it reads them back.
2. ``annotation_costs`` computes from the bytes what they will take as text and in the raw crash.
3. Small JSON that is all text is decoded at once. Crash reporters send such JSON, and the next steps do not concern it.
4. ``antenna.json_size`` counts what all other JSON will build, and memory is reserved for it.
5. ``json_annotations`` decodes it, within limits on depth and numbers. ``surrogates`` replaces what UTF-8 cannot hold.
6. ``charsets`` decodes the parts of text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from antenna.fast.texts import decode_texts
from antenna.hub import Turn
from antenna.json_size import count_built, is_nested_deeper
from antenna.limits import MAX_JSON_DEPTH, MAX_JSON_ITEMS
from antenna.payload.annotation_costs import check_memory
from antenna.payload.charsets import decode_text
from antenna.payload.json_annotations import LongNumbers, decode_json
from antenna.payload.notes import Notes, note_repeated, shorten
from antenna.refusal import Reason, Refusal

# Bytes of JSON that are decoded in one go, before anything is counted, if all values are text. Real annotations with a
# large environment have some 100 KiB. Decoding this much takes at most 10 ms, in which no other greenlet runs, and 10
# MiB of memory.
_FAST_SIZE = 256 * 1024

NOTE_BOTH = "includes annotations in both json-encoded extra and formdata parts"


@dataclass(slots=True)
class AnnotationPart:
    """One part that has annotations. If ``charset`` is None it is JSON, else the text of the annotation ``name``."""

    name: str
    charset: str | None
    size: int = 0
    content: bytes = b""


def read_annotations(
    parts: Sequence[AnnotationPart], notes: Notes, reserve_items: Callable[[int], None]
) -> dict[str, Any]:
    """Return the annotations in ``parts``.

    If an annotation is repeated, the last one wins. If it comes in both text and JSON, the one in JSON wins. The checks
    are done in the order that the head of this module gives. ``reserve_items`` waits for the memory of that many
    containers, names and values. Raises ``Refusal``: ``NO_ANNOTATIONS``, ``TOO_LARGE``, and what ``decode_json``
    raises.
    """
    check_memory((part.content, part.charset) for part in parts)
    values = _read_json([part.content for part in parts if part.charset is None], notes, reserve_items)
    texts = _read_texts([part for part in parts if part.charset is not None], notes)
    if texts and values:
        notes.add_always(NOTE_BOTH)
    annotations = {**texts, **values}
    if not annotations:
        raise Refusal(Reason.NO_ANNOTATIONS)
    return annotations


def _read_texts(parts: Sequence[AnnotationPart], notes: Notes) -> dict[str, str]:
    texts: dict[str, str] = {}
    turn = Turn()
    for part in parts:
        turn.pass_on()
        text = decode_text(part.content, part.charset or "")
        if text is None:
            notes.add(f"Removed {shorten(part.name)}: not valid in its charset.")
            continue
        if part.name in texts:
            notes.add(note_repeated(part.name))
        texts[part.name] = text
    return texts


def _read_json(contents: Sequence[bytes], notes: Notes, reserve_items: Callable[[int], None]) -> dict[str, Any]:
    if sum(map(len, contents)) <= _FAST_SIZE:
        decoded = [decode_texts(content) for content in contents]
    else:
        decoded = [None] * len(contents)
    _reserve([content for content, texts in zip(contents, decoded, strict=True) if texts is None], reserve_items)
    values: dict[str, Any] = {}
    long_numbers = LongNumbers()
    for content, texts in zip(contents, decoded, strict=True):
        annotations: dict[str, Any] | None = texts
        if annotations is None:
            annotations, notes_on_json = decode_json(content, long_numbers)
            notes.extend(notes_on_json)
        notes.extend(note_repeated(name) for name in annotations if name in values)
        values.update(annotations)
    return values


def _reserve(contents: Sequence[bytes], reserve_items: Callable[[int], None]) -> None:
    """Count what decoding these parts of JSON will build, and reserve memory for it. Raises ``Refusal``."""
    items = 0
    for content in contents:
        items += count_built(content, MAX_JSON_ITEMS - items)
        if items > MAX_JSON_ITEMS:
            if is_nested_deeper(content, MAX_JSON_DEPTH, MAX_JSON_ITEMS):
                raise Refusal(Reason.INVALID_JSON, "nested too deeply")
            raise Refusal(Reason.TOO_LARGE, "containers, names and values in JSON")
    if items:
        reserve_items(items)
