# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory, the CPU and the descriptors that any request takes are bounded.

Bounds on CPU leave room for other work on the machine, which makes a second of CPU do less.
"""

import gzip
import random
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from tests.support.captures import minidump
from tests.support.raw_http import RawResponse
from tests.support.reports import BOUNDARY, annotation, chunked, dump, extra, multipart, post, report
from tests.support.watch import HONEST, MIB, Target
from tests.system.hostile.conftest import StartTarget

PRODUCT = annotation("ProductName", "Firefox")
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()
CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked"}
GIB = 1024 * MIB
ESCAPED_EMOJI = rb"\ud83d\ude00"
EMOJI = "\N{GRINNING FACE}".encode()


def repeated(prefix: bytes, unit: bytes, size: int) -> bytes:
    """Return a gzip of ``prefix`` and then ``unit`` again and again, ``size`` bytes in all. Its checksum is wrong."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = compressor.compress(prefix) + compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush, the compressed bytes refer to nothing before them. So a block can be repeated.
    block = compressor.compress(unit * (MIB // len(unit))) + compressor.flush(zlib.Z_FULL_FLUSH)
    return start + block * (size // MIB) + compressor.flush()


def before_content(part: bytes) -> bytes:
    """Return the beginning of a body, up to the content of its last part, which is empty."""
    return multipart(PRODUCT, part)[: -len(CLOSING)]


def gzipped(body: bytes, boundary: str = BOUNDARY) -> bytes:
    return post(body, {"Content-Encoding": "gzip", "Content-Type": f"multipart/form-data; boundary={boundary}"})


def list_of(value: bytes, number: int) -> bytes:
    """Return annotations in JSON, of which one is a list that has this value many times."""
    return b'{"a":[' + b",".join([value] * number) + b"]}"


def many_nested(opening: bytes, closing: bytes, number: int, depth: int = 150) -> bytes:
    """Return annotations in JSON, of which one has containers of this depth, many times."""
    return b'{"a":[' + b",".join([opening * depth + b"0" + closing * depth] * number) + b"]}"


def encoded(encoding: str, content: bytes) -> bytes:
    """Return a part with a dump in a transfer encoding."""
    head = f"Content-Disposition: form-data; name=d; filename=x\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + content


def single_bytes(start: bytes, zeros: int) -> bytes:
    """Frame ``start``, and this many zeros after it, in chunks of one byte."""
    end = chunked(b"", 1)
    return chunked(start, 1).removesuffix(end) + b"1\r\n\0\r\n" * zeros + end


def part_header(rest: bytes) -> bytes:
    return b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; name=a" + rest + b"\r\n\r\n\r\n"


@pytest.mark.parametrize(
    "prefix", [before_content(dump(b"")), b"", before_content(annotation("a", ""))], ids=["dump", "body", "annotation"]
)
def test_zip_bomb_of_1_gib(target: Target, prefix: bytes) -> None:
    request = gzipped(repeated(prefix, b"\0", GIB))
    assert len(request) < 2 * MIB

    with target.costs() as cost, target.collector.keeps_nothing():
        target.assert_refused(target.submit(request), "malformed_too_large")

    assert cost.cpu < 2 * 0.2
    assert cost.memory < 16 * MIB


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        pytest.param(
            lambda: gzipped(repeated(b"--a\r\n\r\n", b"\r\n--ax", 50 * MIB), boundary="a"),
            2.0,
            id="lines like boundaries",
        ),
        pytest.param(lambda: gzipped(repeated(before_content(dump(b"")), b"\r\n", 190 * MIB)), 1.0, id="line breaks"),
        pytest.param(lambda: gzipped(repeated(b"", part_header(b"\r\nA: b" * 30), 20 * MIB)), 0.5, id="part headers"),
        pytest.param(lambda: gzipped(repeated(b"", part_header(b";a=b" * 4000), 20 * MIB)), 0.5, id="parameters"),
        pytest.param(lambda: gzipped(repeated(b"", part_header(b';a="' + rb"\"" * 8000), 20 * MIB)), 2.0, id="quotes"),
        pytest.param(lambda: gzipped(repeated(b"", part_header(b";a=" + b" " * 16000), 20 * MIB)), 0.5, id="spaces"),
        pytest.param(lambda: gzipped(gzip.compress(b"") * 100_000), 0.5, id="gzip members"),
        pytest.param(lambda: report(extra(b'{"a":[' + b"1.5," * 4 * MIB)), 1.0, id="numbers in JSON"),
        pytest.param(lambda: report(extra(b'{"a":[' + b"9" * 999 + (b"," + b"9" * 999) * 5_000)), 1.0, id="digits"),
        pytest.param(lambda: report(extra(list_of(b"9" * 999, 20_900))), 0.5, id="more digits"),
        pytest.param(lambda: report(extra(b'{"a":"' + rb"\ud800" * MIB + b'"}')), 1.0, id="lone surrogates"),
        pytest.param(lambda: report(extra(b'{"a":"' + rb"\"," * 2 * MIB + b'"}')), 1.0, id="escaped quotes"),
        pytest.param(lambda: report(extra(b'"" ' * 2 * MIB + b"," * 50_000)), 1.0, id="strings without commas"),
        pytest.param(lambda: post(single_bytes(b"", MIB // 3), CHUNKED), 2.0, id="chunks"),
        pytest.param(lambda: post(single_bytes(before_content(dump(b"")), 1_600_000), CHUNKED), 1.0, id="more chunks"),
        pytest.param(
            lambda: gzipped(repeated(b"", b"\r\n--" + BOUNDARY.encode(), 20 * MIB)), 0.5, id="parts without anything"
        ),
    ],
)
def test_cpu(target: Target, make: Callable[[], bytes], seconds: float) -> None:
    request = make()
    with target.costs() as cost:
        assert target.submit(request).status in {200, 400, 413}

    assert cost.cpu < seconds


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: report(extra(b"{" + b",".join(b'"%x":0' % key for key in range(MIB)))), id="keys"),
        pytest.param(lambda: report(extra(b'{"a":[' + b"[]," * 6 * MIB)), id="lists"),
        pytest.param(lambda: report(extra(b'{"a":[' + b'"ab",' * 4 * MIB)), id="strings"),
    ],
)
def test_memory_of_json(target: Target, make: Callable[[], bytes]) -> None:
    """Decoded, the JSON would take 15 to 40 times its size."""
    request = make()
    with target.costs() as cost:
        target.assert_refused(target.submit(request), "malformed_too_large")

    assert cost.memory < 100 * MIB


@pytest.fixture(scope="module")
def mozilla_target(start_shared_target: StartTarget) -> Target:
    """A collector whose rules look into annotations and reject most crashes."""
    return start_shared_target(
        BREAKPAD_THROTTLER_RULES="antenna.throttler.MOZILLA_RULES",
        BREAKPAD_THROTTLER_PRODUCTS="antenna.throttler.MOZILLA_PRODUCTS",
    )


# A second of CPU and 64 MiB are what any request may cost. The rules look at what is large in these.
LOOKED_AT = [
    pytest.param(lambda: annotation("TelemetryEnvironment", many_nested(b"[", b"]", 1_700)), id="JSON for a rule"),
    pytest.param(lambda: annotation("TelemetryEnvironment", many_nested(b"[", b"]", 150)), id="less JSON for a rule"),
    pytest.param(lambda: extra(b'{"TelemetryEnvironment":' + many_nested(b"[", b"]", 330) + b"}"), id="JSON as text"),
    pytest.param(lambda: extra(b'{"a":["' + b"x" * 5_000_000 + EMOJI + b'"]}'), id="JSON with an emoji"),
    pytest.param(
        lambda: extra(b'{"a":"' + b"x" * 8_000_000 + rb"\ud83d\ude00" + b'"}'), id="JSON with an escaped emoji"
    ),
    pytest.param(lambda: annotation("ProductName", EMOJI + b"x" * 8_300_000), id="product with an emoji"),
]
EXPENSIVE = [
    *LOOKED_AT,
    pytest.param(lambda: extra(many_nested(b"[", b"]", 45_000)), id="lists nested in lists"),
    pytest.param(lambda: extra(many_nested(b'{"a":', b"}", 16_000)), id="objects nested in objects"),
    pytest.param(lambda: extra(many_nested(b'[{"a":', b"}]", 12_000, 75)), id="lists and objects"),
    pytest.param(lambda: extra(many_nested(b"[", b"]", 330)), id="as many lists as there may be"),
    pytest.param(lambda: extra(many_nested(b'{"a":', b"}", 330)), id="as many objects as there may be"),
    pytest.param(lambda: extra(many_nested(b"[", b"]", 10)), id="3 kB of lists"),
    pytest.param(lambda: extra(b'{"a":"' + rb"\ud800x" * 1_190_000 + b'"}'), id="lone surrogates"),
    pytest.param(lambda: extra(b'{"a":[' + rb'"\ud800",' * 49_000 + b"1]}"), id="texts with lone surrogates"),
    pytest.param(lambda: extra(b'{"a":"' + rb"x\"" * 2_790_000 + b'"}'), id="escaped quotes"),
    pytest.param(lambda: annotation("a", EMOJI + b"x" * 8_300_000), id="text with an emoji"),
    pytest.param(lambda: annotation("a", EMOJI + b"x" * 18_000_000), id="18 MB of text with an emoji"),
    pytest.param(lambda: encoded("quoted-printable", b"=41" * 8 * MIB), id="quoted-printable"),
    pytest.param(lambda: encoded("base64", b"QUJD" * 6 * MIB), id="base64"),
    pytest.param(lambda: annotation("a", b"\0" * 7_000_000), id="control characters"),
    pytest.param(lambda: annotation("a", EMOJI + b"\0" * 8_000_000), id="control characters with an emoji"),
    pytest.param(lambda: extra(b'{"a":[' + b"1.5e-310," * 49_000 + b"1]}"), id="numbers next to zero"),
    pytest.param(lambda: extra(b'{"a":[' + b"-0.0," * 98_000 + b"1]}"), id="zeros"),
    pytest.param(lambda: extra(b'{"a":{' + b",".join(b'"%x":0' % key for key in range(49_000)) + b"}}"), id="names"),
]


@pytest.mark.parametrize("make", EXPENSIVE)
def test_no_request_that_is_kept_is_expensive(mozilla_target: Target, make: Callable[[], bytes]) -> None:
    assert_is_cheap(mozilla_target, [annotation("ProductName", "Firefox"), annotation("ReleaseChannel", "esr"), make()])


# What is rejected is neither encoded nor saved. It differs from what is kept in what the rules look at.
@pytest.mark.parametrize("make", LOOKED_AT)
def test_no_request_that_is_rejected_is_expensive(mozilla_target: Target, make: Callable[[], bytes]) -> None:
    assert_is_cheap(mozilla_target, [annotation("ProductName", "x"), annotation("ReleaseChannel", "release"), make()])


def assert_is_cheap(mozilla_target: Target, parts: list[bytes]) -> None:
    request = gzipped(gzip.compress(multipart(*parts), 1))
    mozilla_target.submit(HONEST)  # the worker has loaded all it needs then
    with mozilla_target.costs() as cost:
        assert mozilla_target.submit(request).status in {200, 413}

    assert cost.cpu < 2 * 1.0
    assert cost.memory < 64 * MIB


def test_memory_of_many_large_annotations_at_once(target: Target) -> None:
    """Each report takes 42 MiB when its annotations are encoded."""
    request = gzipped(gzip.compress(multipart(annotation("a", b"\0" * 6 * MIB)), 1))
    with target.costs() as cost:
        submit_at_once(4, lambda: target.collector.assert_kept(target.submit(request)))

    assert cost.memory < 100 * MIB


def test_memory_of_10_dumps_of_12_mb_at_once(start_shared_target: StartTarget) -> None:
    target = start_shared_target()
    # Minidumps compress to a quarter or so, and are no two alike.
    content = (minidump("own-firefox153-parent-linux") * 20)[:11_000_000] + random.Random(1).randbytes(1_000_000)
    request = gzipped(gzip.compress(multipart(PRODUCT, dump(content)), 1))
    with target.stays_well():
        with target.costs() as cost:
            submit_at_once(10, lambda: target.collector.assert_kept(target.submit(request)))

        assert cost.memory < 64 * MIB


def test_memory_does_not_grow_with_dumps(start_shared_target: StartTarget) -> None:
    """The limits are 256 MiB. Together, eight clients send more than twice as much as may be in memory."""
    target = start_shared_target(
        BREAKPAD_MAX_PAYLOAD_SIZE="256MiB",
        BREAKPAD_MAX_DECOMPRESSED_SIZE="256MiB",
        BREAKPAD_THROTTLER_RULES="antenna.throttler.MOZILLA_RULES",
        BREAKPAD_THROTTLER_PRODUCTS="antenna.throttler.MOZILLA_PRODUCTS",
    )
    request = report(annotation("ProductName", "Unsupported"), dump(bytes(16 * MIB)))
    with target.costs() as cost:
        submit_at_once(8, lambda: target.collector.assert_discarded(target.submit(request), "rule_unsupported_product"))

    assert cost.memory < 64 * MIB


class TestDescriptors:
    @pytest.fixture(scope="class")
    @classmethod
    def target(cls, start_shared_target: StartTarget) -> Target:
        """A collector whose worker may have 60 descriptors."""
        target = start_shared_target()
        target.worker.rlimit(psutil.RLIMIT_NOFILE, (60, 60))
        return target

    def test_more_clients_than_there_are(self, target: Target) -> None:
        with ExitStack() as connections:
            for _ in range(100):
                connections.enter_context(target.server.connect())
            target.server.wait_until(lambda: "cannot accept a connection: Too many" in target.server.logs(), 5)
        target.collector.assert_kept(target.submit(report(PRODUCT, dump(b"MDMP"))))
        assert "Traceback" not in target.server.logs()

    def test_more_temporary_files_than_there_are(self, target: Target) -> None:
        dumps = [dump(bytes(100_000), f"d{number}") for number in range(32)]
        answers: list[RawResponse] = []
        submit_at_once(6, lambda: answers.append(target.submit(report(PRODUCT, *dumps))))

        assert {answer.status for answer in answers} <= {200, 503}
        assert target.server.is_serving()
        assert "Traceback" not in target.server.logs()


def submit_at_once(number: int, submit: Callable[[], object]) -> None:
    """Call ``submit`` in many threads. Raises an exception that one of them raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            submit()
        except BaseException as error:  # noqa: BLE001 - raised again
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
