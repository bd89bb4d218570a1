# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crash reports in every shape that a client may give them, and the expected result of each."""

import base64
import functools
import gzip
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import strategies as st

MINIDUMP = "upload_file_minidump"
NOTE_BOTH = "includes annotations in both json-encoded extra and formdata parts"
_CODECS = {"utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "iso-8859-1", "windows-1252": "cp1252"}


T = TypeVar("T")


@dataclass
class Expected:
    """The report that the collector should read.

    Its dumps are in the order of their parts, with the names that were sent.
    """

    annotations: dict[str, Any] = field(default_factory=dict)
    dumps: list[tuple[str, bytes]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    payload: str = "multipart"


@dataclass
class SentReport:
    """A report in the form in which it is sent."""

    headers: list[tuple[str, bytes]]
    body: bytes
    """The body with its content coding, but without framing."""
    framed: bytes
    is_gzipped: bool
    user_agent: str
    expected: Expected

    @property
    def request(self) -> bytes:
        """The whole request."""
        lines = [f"{name}: ".encode() + value for name, value in self.headers]
        return b"\r\n".join([b"POST /submit?id={1}&version=%zz HTTP/1.1", *lines, b"", b""]) + self.framed


@dataclass
class Part:
    """A part in the form in which it is sent, and what it adds to the expected report."""

    headers: bytes
    content: bytes
    kind: str
    name: str
    value: Any = None
    encoding: str = ""

    @property
    def wire_content(self) -> bytes:
        """The content as it is sent."""
        if self.encoding == "base64":
            return base64.encodebytes(self.content)
        if self.encoding == "quoted-printable":
            return "".join(f"={byte:02X}" for byte in self.content).encode()
        return self.content


def one_of(*values: T) -> st.SearchStrategy[T]:
    """Return a strategy that chooses one of the values."""
    return _one_of(values)


# Making a strategy takes several times as long as drawing from it.
@functools.cache
def _one_of(values: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


# Text that can be encoded in UTF-8, without line breaks if it goes into a header.
text = st.text(st.characters(exclude_categories=["Cs"]))
odd_text = st.one_of(text, st.text("\0\x1b\x7f\"'\\{}[]:,;= \u2028\ufffe\N{PILE OF POO}", max_size=20))
names = st.one_of(
    one_of("ProductName", "Version", "BuildID", "a", "ä", "metadata", "uuid_", "dump", "", "%22", "\\", '"'),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=30),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(names, values, max_size=4),
    max_leaves=12,
)
# Boundaries as RFC 2046 section 5.1.1 defines them, and others that clients send all the same.
boundaries = st.one_of(
    st.just("-" * 29 + "7e0d2f"),
    st.integers(1, 70).map(lambda size: "-" * size),
    st.sampled_from([".*", "(a|b)+$", "[^x]{2}", "\\d", "^", "??"]),
    st.text("ABCxyz0189'()+_,-./:=?", min_size=1, max_size=70),
    st.text("ab -", min_size=1, max_size=8).map(lambda boundary: boundary.strip() or "a"),
    st.text(st.characters(min_codepoint=0x80, max_codepoint=0xFF), min_size=1, max_size=10),
)


@functools.cache
def pieces_of_contents(boundary: bytes) -> st.SearchStrategy[list[bytes]]:
    near = [b"\r\n--" + boundary[:-1], b"\r\n--" + boundary + b"x", b"--" + boundary, b"\r\n-", b"\r\n--", b"\r", b"\n"]
    return st.lists(st.one_of(st.sampled_from(near), st.binary(max_size=40), st.just(b"\r\n")), max_size=8)


@st.composite
def contents(draw: st.DrawFn, boundary: bytes) -> bytes:
    """Return bytes that are no boundary line, but may be similar to one."""
    pieces = draw(pieces_of_contents(boundary))
    if draw(st.integers(0, 9)) == 0:
        pieces.append(draw(st.binary(min_size=1, max_size=16)) * draw(st.integers(1, 40_000)))
    content = b"".join(pieces)
    line = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(--)?[ \t]*[\r\n]")
    while match := line.search(content + b"\r\n"):
        content = content[: match.start()] + content[match.start() + 1 :]
    return content


def spelled(word: str) -> st.SearchStrategy[str]:
    """Return ``word`` in a mixture of upper and lower case."""
    return one_of(word, word.lower(), word.upper(), word.swapcase())


@st.composite
def parameters(draw: st.DrawFn, value: str, given: dict[str, str]) -> str:
    """Return a MIME header's value with parameters. They are quoted or not if that makes no difference."""
    pieces = [draw(spelled(value))]
    for name, content in draw(st.permutations(list(given.items()))):
        is_token = re.fullmatch(r"[!#-'*+\-.0-:<>-~=]+", content) and not content.startswith('"')
        quoted = '"' + content.replace("\\", "\\\\").replace('"', '\\"') + '"'
        is_quoted = not is_token or draw(st.booleans())
        pieces.append(draw(spelled(name)) + draw(one_of("=", "=", " = ")) + (quoted if is_quoted else content))
    return draw(one_of("; ", ";", " ; ")).join(pieces)


@st.composite
def part_headers(
    draw: st.DrawFn, disposition: dict[str, str] | None, content_type: str | None, charset: str | None = None
) -> bytes:
    """Return the headers of a part."""
    lines = []
    if disposition is not None:
        value = draw(parameters("form-data", disposition))
        lines.append(draw(spelled("Content-Disposition")) + draw(one_of(": ", ":", ":\t")) + value)
    if content_type is not None:
        value = draw(parameters(content_type, {} if charset is None else {"charset": charset}))
        lines.append(draw(spelled("Content-Type")) + ": " + value)
    lines += draw(st.lists(one_of("Content-Length: 5", "X-Other: \xe9", "no colon"), max_size=2))
    return "".join(f"{line}\r\n" for line in draw(st.permutations(lines))).encode()


@st.composite
def text_parts(draw: st.DrawFn, boundary: bytes) -> Part:
    """Return an annotation as a part. Now and then its text is not valid in its charset."""
    name = draw(names)
    charset = draw(st.sampled_from([None, *_CODECS]))
    codec = _CODECS[charset or "utf-8"]
    content = draw(contents(boundary)) if draw(st.booleans()) else draw(odd_text).encode(codec, "ignore")
    content_type = "text/plain" if charset else draw(one_of(None, "text/plain"))
    try:
        value = content.decode(codec)
    except UnicodeDecodeError:
        value = None
    return Part(draw(part_headers({"name": name}, content_type, charset)), content, "text", name, value)


@st.composite
def json_parts(draw: st.DrawFn) -> Part:
    """Return annotations as JSON."""
    value = draw(st.dictionaries(names, json_values, max_size=6))
    content = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))).encode()
    file_name: dict[str, str] = draw(st.sampled_from([{}, {"filename": "extra.json"}, {"filename": "blob"}]))
    headers = draw(part_headers({"name": draw(one_of("extra", "x", ""))} | file_name, "application/json"))
    return Part(headers, content, "json", "", value)


@st.composite
def dump_parts(draw: st.DrawFn, boundary: bytes) -> Part:
    """Return a dump."""
    name = draw(
        st.one_of(
            st.sampled_from(
                [MINIDUMP, "upload_file_minidump_browser", "memory_report", "dump", "d/u-m.p", "", "x" * 40]
            ),
            names,
        ).filter(lambda name: re.sub(r"[^A-Za-z0-9_]", "", name)[:30] not in {"raw_crash", "dump_names"})
    )
    content_type = draw(one_of(None, "application/octet-stream", "application/gzip", "text/plain", "x/y"))
    needs_file_name = content_type in {None, "text/plain"}
    file_name = {"filename": draw(names.filter(bool))} if needs_file_name or draw(st.booleans()) else {}
    headers = draw(part_headers({"name": name} | file_name, content_type))
    noted = content_type if content_type in {"text/plain", "x/y"} else None
    return Part(headers, draw(contents(boundary)), "dump", name, noted)


@st.composite
def nameless_parts(draw: st.DrawFn, boundary: bytes) -> Part:
    """Return a part without a name, which counts as nothing."""
    headers = draw(part_headers(draw(st.sampled_from([None, {}, {"filename": "x"}])), draw(one_of(None, "a/b"))))
    return Part(headers, draw(contents(boundary)), "nameless", "")


@st.composite
def encoded(draw: st.DrawFn, part: Part) -> Part:
    """Return the part, sometimes with a transfer encoding."""
    encoding = draw(one_of("", "", "", "8bit", "base64", "quoted-printable"))
    if not encoding or part.kind in {"json", "nameless"}:
        return part
    header = f"{draw(spelled('Content-Transfer-Encoding'))}: {draw(spelled(encoding))}\r\n".encode()
    return replace(part, headers=header + part.headers, encoding=encoding)


@st.composite
def multipart_bodies(draw: st.DrawFn, boundary: bytes, parts: list[Part]) -> bytes:
    """Return a body of these parts."""
    padding = one_of(b"", b"", b" ", b"\t ")
    pieces = [draw(one_of(b"", b"", b"preamble\r\n", b"\r\n", b"\xef\xbb\xbf", b" "))]
    for part in parts:
        pieces += [b"--", boundary, draw(padding), b"\r\n", part.headers]
        content = part.wire_content
        # Parts without content, as RFC 2046 defines them and as some clients send them.
        pieces.append(b"\r\n" + content + b"\r\n" if content else draw(one_of(b"\r\n\r\n", b"\r\n", b"")))
    pieces += [b"--", boundary, b"--", draw(one_of(b"", b"\r\n", b"\n", b" \r\n", b"\r\nepilogue"))]
    return b"".join(pieces)


@st.composite
def gzipped(draw: st.DrawFn, body: bytes) -> bytes:
    """Return ``body`` as a gzip stream of one or more members."""
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    level = draw(st.integers(0, 9))
    members = [gzip.compress(body[a:b], level) for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return b"".join(members) + draw(one_of(b"", b"", b"junk", b"\0\0"))


@st.composite
def in_chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """Return ``body`` in chunks of various sizes."""
    sizes = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=4))
    if len(body) < 3000 and draw(st.booleans()):
        sizes = [1]
    extension = draw(one_of(b"", b"", b";a", b' ; a="b"'))
    pieces = []
    position = number = 0
    while position < len(body):
        chunk = body[position : position + max(sizes[number % len(sizes)], len(body) // 300)]
        pieces += [draw(one_of(b"%x", b"%X", b"0%x")) % len(chunk), extension, b"\r\n", chunk, b"\r\n"]
        position += len(chunk)
        number += 1
    return b"".join([*pieces, b"0\r\n", draw(one_of(b"", b"", b"X: 1\r\n")), b"\r\n"])


@st.composite
def sent_reports(draw: st.DrawFn) -> SentReport:
    """Return a valid report."""
    boundary_text = draw(boundaries)
    boundary = boundary_text.encode("latin-1")
    kinds = [
        text_parts(boundary),
        text_parts(boundary),
        json_parts(),
        dump_parts(boundary),
        nameless_parts(boundary),
    ]
    parts = draw(st.lists(st.one_of(kinds), max_size=8))
    parts.insert(
        draw(st.integers(0, len(parts))),
        Part(b"Content-Disposition: form-data; name=Sent\r\n", b"1", "text", "Sent", "1"),
    )
    parts = [draw(encoded(part)) for part in parts]
    body = draw(multipart_bodies(boundary, parts))

    content_type = draw(parameters(draw(one_of("multipart/form-data", "multipart/mixed")), {"boundary": boundary_text}))
    user_agent = draw(one_of("curl/7.88.1", "Fenix ä", ""))
    headers = [("Content-Type", content_type.encode("latin-1")), ("User-Agent", user_agent.encode())]
    coding = draw(one_of(None, "identity", "gzip", "x-gzip"))
    is_gzipped = coding in {"gzip", "x-gzip"}
    if coding:
        headers.append(("Content-Encoding", draw(spelled(coding)).encode()))
    if is_gzipped:
        body = draw(gzipped(body))
    if draw(st.booleans()):
        framed = draw(in_chunks(body))
        headers.append(("Transfer-Encoding", b"chunked"))
    else:
        framed = body
        headers.append(("Content-Length", str(len(body)).encode()))
    headers = [(draw(spelled(name)), value) for name, value in draw(st.permutations([*headers, ("Host", b"x")]))]
    return SentReport(headers, body, framed, is_gzipped, user_agent or "None", expect(parts))


def expect(parts: list[Part]) -> Expected:
    """Return the report that the contract expects of these parts."""
    result = Expected()
    texts: dict[str, str] = {}
    values: dict[str, Any] = {}
    for part in parts:
        if part.encoding not in {"", "8bit"}:
            result.notes.append(f"Decoded {part.name[:100]} from {part.encoding}.")
        if part.kind == "dump":
            result.dumps.append((part.name, part.content))
        elif part.kind == "json":
            result.payload = "json"
            result.notes += [repeated(name) for name in part.value if name in values]
            values |= part.value
        elif part.kind == "text" and part.value is None:
            result.notes.append(f"Removed {part.name}: not valid in its charset.")
        elif part.kind == "text":
            result.notes += [repeated(part.name)] if part.name in texts else []
            texts[part.name] = part.value
    nameless = sum(part.kind == "nameless" for part in parts)
    if nameless:
        result.notes.append(f"Ignored parts without a name: {nameless}.")
    if texts and values:
        result.notes.append(NOTE_BOTH)
    result.annotations = texts | values
    return result


def repeated(name: str) -> str:
    return f"Repeated annotation {name}: the last one was kept."
