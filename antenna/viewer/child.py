# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads crashes in a process of its own, whose memory and CPU are limited because dumps come from strangers.

``python -m antenna.viewer.child [SYMBOLS]`` takes requests from stdin. A request is a line of JSON with three sizes,
and then the bytes of the raw crash, of the names of the dumps and of the minidump. For each request, in order, it
writes a line of JSON to stdout, with the row of the crash or with an error. ``CrashReader`` runs this program, and
starts it again when it has ended.
"""

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from antenna.symbols import Store
from antenna.viewer.processed import process
from antenna.viewer.rows import CrashRow, make_row

# Bytes of address space, most of it for mapped symbol files. Beyond it, a crash cannot be read.
ADDRESS_SPACE = 8 * 1024**3
# Bytes of memory. The largest dumps take 200 MB. A dump that needs more cannot be read.
MEMORY = 768 * 1024**2
# Seconds of CPU for one crash. Real dumps take less than one. The kernel kills the process when they are used up.
CPU_SECONDS = 20
# Characters of an answer, many times what a real crash has on its page. Of a longer one, lists are left out.
MAX_ANSWER = 4_000_000


def main() -> None:
    """Answer requests until there are no more."""
    # Ctrl-C is for the viewer, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store(Path(sys.argv[1])) if len(sys.argv) > 1 else None
    _limit(resource.RLIMIT_AS, ADDRESS_SPACE)
    _limit(resource.RLIMIT_DATA, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    while line := sys.stdin.buffer.readline():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + 1 + CPU_SECONDS)
        sys.stdout.write(answer(json.loads(line), sys.stdin.buffer, store) + "\n")
        sys.stdout.flush()


def answer(request: dict[str, Any], stdin: BinaryIO, store: Store | None) -> str:
    """Return the answer to a request. The raw crash, names and minidump are read from ``stdin``."""
    raw_crash, names, minidump = (
        None if size is None else stdin.read(size)
        for size in (request["raw_crash"], request["dump_names"], request["minidump"])
    )
    try:
        crash = json.loads(raw_crash or b"")
        if not isinstance(crash, dict):
            return json.dumps({"error": "the raw crash is not a JSON object"})
        row = _row(request, crash, json.loads(names or b"[]"), minidump, store)
        return _as_text(row)
    except (Exception, MemoryError) as error:  # noqa: BLE001 - the answer has the error, and the next crash follows
        return json.dumps({"error": f"{type(error).__name__}: {error}"[:500]})


def _row(
    request: dict[str, Any], crash: dict[str, Any], names: object, minidump: bytes | None, store: Store | None
) -> CrashRow:
    dump_names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    processed = process(request["crash_id"], crash, dump_names, minidump, store, request["trouble"])
    return make_row(crash, processed, frozenset(request["allowed"]))


def _as_text(row: CrashRow) -> str:
    """Return the answer. If it is too long, lists are left out one by one, and ``damage`` names them."""
    dump = row.body["processed"]["dump"] or {}
    for name in ("", "threads", "module_annotations", "unloaded_modules", "modules", "comments", "mac_crash_info"):
        if name in dump:
            dump[name] = []
            dump["damage"].append(f"{name.replace('_', ' ')}: left out here, as the dump has too many")
        text = json.dumps(row.as_json())
        if len(text) <= MAX_ANSWER:
            return text
    return json.dumps({"error": "the crash says more than a page can show"})


def _limit(what: int, most: int) -> None:
    """Set the soft limit of a resource. The hard limit stays, so that the CPU time can be raised for the next crash."""
    _, hard = resource.getrlimit(what)
    # A lower limit may be set already; macOS does not take some of them.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
