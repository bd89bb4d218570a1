# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crash reports of all shapes, and what has to be saved of each.

A seed decides their content, and each is different.
"""

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.reports import MINIDUMP, annotation, chunked, dump, multipart, post

# Bytes of a report that a collector under test keeps in memory. Larger dumps go to temporary files.
MEMORY_PER_REPORT = 32 * 1024


@dataclass(frozen=True, slots=True)
class Crash:
    """A crash as a client knows it."""

    serial: str
    dumps: dict[str, bytes]
    is_deferred: bool
    request: bytes


def make_crash(chance: random.Random, serial: str) -> Crash:
    """Return a crash. One in eight is deferred."""
    dumps = chance.choice(_SHAPES)(chance)
    is_deferred = chance.random() < 0.125
    parts = [annotation("ProductName", "Firefox"), annotation("Serial", serial)]
    if is_deferred:
        parts.append(annotation("Fate", "defer"))
    parts += [dump(content, name) for name, content in dumps.items()]
    return Crash(serial, dumps, is_deferred, chance.choice(_FRAMINGS)(multipart(*parts)))


def _bytes(chance: random.Random, least: int, most: int) -> bytes:
    return b"MDMP" + chance.randbytes(chance.randint(least, most))


def _small(chance: random.Random) -> dict[str, bytes]:
    return {MINIDUMP: _bytes(chance, 100, 4000)}


def _large(chance: random.Random) -> dict[str, bytes]:
    return {MINIDUMP: _bytes(chance, 2 * MEMORY_PER_REPORT, 6 * MEMORY_PER_REPORT)}


def _several(chance: random.Random) -> dict[str, bytes]:
    names = ("upload_file_minidump_browser", "memory_report", "upload_file_minidump_flash1")
    others = {name: _bytes(chance, 0, 2 * MEMORY_PER_REPORT) for name in names[: chance.randint(1, 3)]}
    return _small(chance) | others


_SHAPES: list[Callable[[random.Random], dict[str, bytes]]] = [
    _small,
    _small,
    _large,
    _several,
    lambda _: {},
    lambda _: {MINIDUMP: b""},
]

_FRAMINGS: list[Callable[[bytes], bytes]] = [
    post,
    lambda body: post(gzip.compress(body, compresslevel=1), {"Content-Encoding": "gzip"}),
    lambda body: post(chunked(body, 16_384), {"Content-Length": None, "Transfer-Encoding": "chunked"}),
]
