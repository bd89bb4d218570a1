# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.
"""Requests as recipes, which say what is repeated, nested and wrapped. The search changes recipes, not bytes.

A recipe is made of plain values, so that it can be kept as JSON. If bytes were changed, hardly any result would be a
valid report.
"""

import gzip
import json
import struct
import zlib
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from random import Random
from typing import Any, Self

from tests.support.reports import BOUNDARY, chunked, post

#: Bytes of the largest body before compression: a bit more than the annotations of a report may take.
LARGEST = 9 * 1024 * 1024
_EMOJI = "\N{GRINNING FACE}".encode()
_DELIMITER = b"\r\n--" + BOUNDARY.encode()

#: What content is made of: JSON, escapes, characters, numbers, encodings, and what looks like the end of a part.
_UNITS = (
    *(
        b"[],",
        b"[[],",
        b"{},",
        b'{"a":1},',
        b'"",',
        b'"a":"",',
        b'"a":{',
        b"1,",
        b"true,",
        b'["a","b"],',
        b'"\\",{[:",',
    ),
    *(b"1.5,", b"-0.0,", b"0e0,", b"1e-310,", b"1.7976931348623157e308,", b"9" * 23 + b",", b"9" * 999 + b","),
    *(rb"\ud800", rb"\ud800x", rb"\ud83d\ude00", rb"\"", rb"\\", rb"\u0041", rb"\u0000", rb"\n", rb"\/"),
    *(b"x", b" ", b"\0", b"\x7f", b'"', b"\\", "ж".encode(), "€".encode(), _EMOJI, b"\xff", b"\r\n", b"\r", b"\t"),
    *(b"=", b"=41", b"=3D\r\n", b"QUJD", b"QQ==", b"==="),
    *(_DELIMITER, _DELIMITER + b"x", _DELIMITER + b"\r\n\r\n", _DELIMITER + b" " * 60, b"--", BOUNDARY.encode()),
    *(b";a=b", b';a="\\""', b"; ", b"A: b\r\n", b"\r\n ", b"a*0=b;", b"%41", b"utf-8''%F0%9F%98%80"),
)
UNITS = tuple(unit.decode("latin-1") for unit in _UNITS)
#: What is put around content, again and again.
BRACKETS = (("[", "]"), ('{"a":', "}"), ('[{"a":[', "]}]"), ('"', '"'), ('{"a":[', "]}"), ('["', '"]'))
NAMES = (
    "a",
    "TelemetryEnvironment",
    "StackTraces",
    "ProductName",
    "Version",
    "BuildID",
    "Comments",
    "uuid",
    "metadata",
)

#: What a report's part can be, by its headers.
KINDS = {
    "json": 'name="extra"; filename="extra.json"\r\nContent-Type: application/json',
    "text": 'name="{name}"',
    "dump": 'name="{name}"; filename="x"\r\nContent-Type: application/octet-stream',
    "base64": 'name="{name}"\r\nContent-Transfer-Encoding: base64',
    "quoted": 'name="{name}"\r\nContent-Transfer-Encoding: quoted-printable',
    "latin": 'name="{name}"\r\nContent-Type: text/plain; charset=windows-1252',
    "nameless": "filename=x",
    "long name": "name*=utf-8''{name}",
    "many": 'name="{name}{number}"',
}


@dataclass(frozen=True)
class Content:
    """A unit that is repeated, with texts before and after it, and with brackets around all of that, repeated as well.

    Text stands for its bytes in ISO 8859-1.
    """

    unit: str = "x"
    times: int = 1
    before: str = ""
    after: str = ""
    opening: str = "["
    closing: str = "]"
    depth: int = 0
    #: All of it again and again, with a comma between; each with a number of its own in it if they are to be distinct.
    again: int = 1
    is_distinct: bool = False

    def render(self, room: int) -> bytes:
        """Return the bytes, not many more than ``room``."""
        depth = min(self.depth, room // (2 * len(self.opening + self.closing)))
        units = (self.unit * min(self.times, room // len(self.unit))).removesuffix(",")
        inner = f"{self.opening * depth}{self.before}{units}{self.after}{self.closing * depth}".encode("latin-1")
        again = max(1, min(self.again, room // (len(inner) + 8)))
        if self.is_distinct:
            return b",".join(b'"%x":' % number + inner for number in range(again))
        return b",".join([inner] * again)

    def mutate(self, rng: Random) -> Self:
        """Return a content that differs in one thing."""
        opening, closing = rng.choice(BRACKETS)
        change: dict[str, Any] = rng.choice(
            [
                {"unit": rng.choice(UNITS)},
                {"times": _scaled(self.times, rng)},
                {"before": rng.choice(["", rng.choice(UNITS)])},
                {"after": rng.choice(["", rng.choice(UNITS)])},
                {"opening": opening, "closing": closing},
                {"depth": min(_scaled(self.depth + 1, rng), 2000)},
                {"depth": rng.randrange(200)},
                {"again": _scaled(self.again, rng)},
                {"is_distinct": not self.is_distinct},
            ]
        )
        return replace(self, **change)


@dataclass(frozen=True)
class Part:
    """A part, or many of them."""

    kind: str = "json"
    name: str = "a"
    content: Content = Content()
    #: More of its headers.
    headers: Content | None = None
    #: JSON is put into an object: as the value of the annotation.
    is_wrapped: bool = True
    number: int = 1

    def render(self, room: int) -> list[bytes]:
        """Return the parts, together not many more bytes than ``room``."""
        content = self.content.render(room)
        if self.kind == "json" and self.is_wrapped:
            opening, closing = (b"{", b"}") if self.content.is_distinct else (b"[", b"]")
            content = b'{"%b":' % self.name.encode() + opening + content + closing + b"}"
        more = b"" if self.headers is None else self.headers.render(min(room, 20_000))
        number = max(1, min(self.number, room // (len(content) + len(more) + 80)))
        heads = (KINDS[self.kind].format(name=self.name, number=index).encode() for index in range(number))
        return [b"Content-Disposition: form-data; " + head + more + b"\r\n\r\n" + content for head in heads]

    def mutate(self, rng: Random) -> Self:
        """Return a part that differs in one thing."""
        change: dict[str, Any] = rng.choice(
            [
                *({"content": self.content.mutate(rng)} for _ in range(5)),
                {"kind": rng.choice(list(KINDS))},
                {"name": rng.choice(NAMES)},
                {"headers": rng.choice([None, (self.headers or Content()).mutate(rng)])},
                {"is_wrapped": not self.is_wrapped},
                {"number": _scaled(self.number, rng)},
            ]
        )
        return replace(self, **change)


@dataclass(frozen=True)
class Recipe:
    """A request: a report whose annotations the rules look into, further parts, and how they are sent."""

    parts: tuple[Part, ...] = field(default_factory=lambda: (Part(),))
    #: 0 is no gzip, 1 to 10 are its levels with one added.
    level: int = 7
    #: After so many bytes a gzip member ends, or else a block.
    block: int = 0
    is_member: bool = False
    empty_blocks: int = 0
    gzip_name: int = 0
    #: Bytes of a chunk; 0 is a length.
    chunk: int = 0

    def render(self) -> bytes:
        """Return the request."""
        room = LARGEST // len(self.parts)
        usual = [(b"ProductName", b"Firefox"), (b"ReleaseChannel", b"esr")]
        parts = [b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % pair for pair in usual]
        for part in self.parts:
            parts += part.render(room)
        boundary = b"--" + BOUNDARY.encode()
        body = b"".join(boundary + b"\r\n" + part + b"\r\n" for part in parts) + boundary + b"--\r\n"
        headers: dict[str, str | None] = {}
        if self.level:
            body = self._compress(body)
            headers["Content-Encoding"] = "gzip"
        if self.chunk:
            body = chunked(body, max(self.chunk, len(body) // 500_000))
            headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
        return post(body, headers)

    def _compress(self, body: bytes) -> bytes:
        level = self.level - 1
        size = max(self.block, len(body) // 5000) if self.block else len(body)
        pieces = (body[start : start + size] for start in range(0, len(body), size))
        name = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * self.gzip_name + b"\0" if self.gzip_name else b""
        empty = _empty_member() * min(self.empty_blocks, 5000) if self.is_member else b""
        if self.is_member:
            return empty + b"".join(gzip.compress(piece, level, mtime=0) for piece in pieces)
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        blocks = [compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
        nothing = b"\0\0\0\xff\xff" * self.empty_blocks  # stored blocks of no bytes
        end = struct.pack("<LL", zlib.crc32(body), len(body) & 0xFFFFFFFF)
        head = name or b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        return head + b"".join(blocks) + nothing + compressor.flush() + end

    def mutate(self, rng: Random) -> Self:
        """Return a recipe that differs in one thing."""
        index = rng.randrange(len(self.parts))
        parts = list(self.parts)
        parts[index] = parts[index].mutate(rng)
        change: dict[str, Any] = rng.choice(
            [
                *({"parts": tuple(parts)} for _ in range(8)),
                {"parts": (*self.parts, parts[index])[:4]},
                {"parts": tuple(parts[:index] + parts[index + 1 :]) or self.parts},
                {"level": rng.choice([0, 1, 2, 7, 10])},
                {"block": rng.choice([0, _scaled(self.block or 1000, rng)])},
                {"is_member": not self.is_member},
                {"empty_blocks": rng.choice([0, _scaled(self.empty_blocks + 1, rng)])},
                {"gzip_name": rng.choice([0, _scaled(self.gzip_name + 1, rng)])},
                {"chunk": rng.choice([0, 1, 7, 100, 16_384])},
            ]
        )
        return replace(self, **change)

    def dumps(self) -> str:
        """Return the recipe as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Recipe":
        """Return a recipe that was kept as JSON."""
        values = json.loads(text)
        parts = tuple(
            Part(
                **part
                | {"content": Content(**part["content"])}
                | {"headers": part["headers"] and Content(**part["headers"])}
            )
            for part in values.pop("parts")
        )
        return cls(parts=parts, **values)


def _empty_member() -> bytes:
    return gzip.compress(b"", mtime=0)


def _scaled(number: int, rng: Random) -> int:
    """Return a number that is somewhat or much smaller or larger, but not so large that no body has room for it."""
    return max(1, min(LARGEST, int(number * rng.choice([0.1, 0.5, 0.9, 1.1, 2, 10, 100]))))


def seeds() -> list[Recipe]:
    """Return the first recipes of a search: each unit many times, and some of them nested, in each kind of part."""
    contents = [Content(unit=unit, times=LARGEST // 3) for unit in UNITS]
    contents += [Content(opening=opening, closing=end, depth=150, again=LARGEST) for opening, end in BRACKETS]
    contents += [Content(unit=unit, times=9, again=50_000, is_distinct=True) for unit in UNITS[:12]]
    return [
        Recipe(parts=(Part(kind=kind, content=content),)) for kind, content in zip(cycle(KINDS), contents, strict=False)
    ]
