#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Check the configuration of a collector before it runs: its options, its disks, its backends.

It reports all faults at once. It writes a test object to the storage and publishes a test message, as a collector does
at its start. The exit code is 78 if anything is wrong, and 0 if there are only warnings.

Examples:
  bin/check_config.py                 # with the environment of the collector
  bin/check_config.py --offline       # without the backends, for example in a pipeline
  bin/check_config.py --json | jq -r 'select(.level == "error") | .message'

"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _config  # isort: split

import gevent

from antenna.config import (
    ConfigurationError,
    WebServerConfig,
    build_config,
    describe_unknown,
    removed_options,
    service_links,
    unknown_names,
)
from antenna.crashmover import CrashMover
from antenna.ext import NoOpCrashPublish, NoOpCrashStorage
from antenna.ops.errors import describe
from antenna.payload import PayloadReader
from antenna.throttler import Throttler
from antenna.viewer.options import PREFIX

# From sysexits.h: the configuration is bad.
EX_CONFIG = 78

# Seconds that a backend or a disk may take to answer.
TIMEOUT = 15.0

ERROR, WARNING, OK = "error", "warning", "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    level: str
    message: str


def check(environ: Mapping[str, str], *, offline: bool) -> Iterator[Finding]:
    """Yield the results of all checks, of those that passed as well."""
    yield from check_names(environ)
    problems = [setting.problem for setting in _config.settings(environ) if setting.problem]
    yield from (Finding(ERROR, problem) for problem in problems)
    for finding in check_parts(environ, offline=offline):
        # The bad values of options have been reported already.
        if not any(finding.message.endswith(problem) for problem in problems):
            yield finding


def check_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Find variables that look like options but are not, and options that were removed."""
    known = _config.known_names(environ)
    removed = dict(removed_options(environ))
    for name, meant in unknown_names(environ, {*known, *removed}, (PREFIX,)):
        yield Finding(ERROR if meant else WARNING, describe_unknown(name, meant))
    for name, instead in removed.items():
        yield Finding(WARNING, f"{name} is set, and there is no such option any more: {instead}")
    for name, value in service_links(environ, known):
        yield Finding(WARNING, f"{name}={value} is ignored: Kubernetes sets it for a service of that name")


def check_parts(environ: Mapping[str, str], *, offline: bool) -> Iterator[Finding]:
    """Build the parts of a collector as its start does, and check that they work."""
    config = build_config(environ)
    web_server = yield from _build("web server", lambda: WebServerConfig(config))
    reader = yield from _build("temporary files", lambda: PayloadReader(config.with_namespace("breakpad")))
    yield from _build("rules", lambda: Throttler(config.with_namespace("breakpad").with_namespace("throttler")))
    mover = yield from _build("backends", lambda: CrashMover(config.with_namespace("crashmover")))
    if reader is not None and web_server is not None:
        yield from check_temporary_files(reader, web_server.workers)
    if mover is not None:
        yield from check_spool(mover)
        if not offline:
            yield from check_backends(mover)


def _build(what: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except _backends.ERRORS as error:
        yield Finding(ERROR, f"{what}: {describe(error)}")
        return None


def check_temporary_files(reader: PayloadReader, workers: int) -> Iterator[Finding]:
    """Write a temporary file, and compare the limit on temporary files with the disk."""
    yield _prove(f"temporary files in {reader.temp_dir}", reader.check_temporary_files)
    wanted = reader.limits.temp_size_per_worker * workers
    yield from _compare("BREAKPAD_TEMP_SIZE_PER_WORKER, of all workers,", wanted, reader.temp_dir)


def check_spool(mover: CrashMover) -> Iterator[Finding]:
    """Write to the spool, and compare its largest size with the disk."""
    if mover.writer is None:
        yield Finding(WARNING, "CRASHMOVER_SPOOL_DIR is not set: what cannot be saved is lost")
        return
    spool = mover.writer.spool
    yield _prove(f"spool in {spool.root}", mover.prepare, mover.writer.check_health)
    yield from _compare("CRASHMOVER_SPOOL_MAX_SIZE", spool.max_size, spool.root)


def check_backends(mover: CrashMover) -> Iterator[Finding]:
    """Write a test object and publish a test message, as a collector does at its start."""
    for backend, does_nothing, variable in (
        (mover.crashstorage, NoOpCrashStorage, "CRASHMOVER_CRASHSTORAGE_CLASS"),
        (mover.crashpublish, NoOpCrashPublish, "CRASHMOVER_CRASHPUBLISH_CLASS"),
    ):
        if isinstance(backend, does_nothing):
            yield Finding(WARNING, f"{variable}: {does_nothing.__name__} keeps nothing")
        else:
            yield _prove(backend.place, backend.verify, backend.check_health)


def _prove(what: str, *actions: Callable[[], object]) -> Finding:
    """Run ``actions``, which have to work, and report how long they took."""
    start = time.monotonic()
    try:
        with gevent.Timeout(TIMEOUT):
            for action in actions:
                action()
    except gevent.Timeout:
        return Finding(ERROR, f"{what}: no answer within {TIMEOUT:g} s")
    except Exception as error:  # noqa: BLE001 - a class of the operator's own may raise anything
        return Finding(ERROR, f"{what}: {describe(error)}")
    return Finding(OK, f"{what}: works, {(time.monotonic() - start) * 1000:.0f} ms")


def _compare(name: str, wanted: int, directory: Path) -> Iterator[Finding]:
    try:
        disk = shutil.disk_usage(directory)
    except OSError:
        return  # another check reports that the directory cannot be used
    if wanted > disk.total:
        yield Finding(ERROR, f"{name} is {wanted:,} bytes, and the disk of {directory} has {disk.total:,}")
    elif wanted > disk.free:
        yield Finding(WARNING, f"{name} is {wanted:,} bytes, and the disk of {directory} has {disk.free:,} left")


def main() -> int:
    """Run the checks, and print the results."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line: level, message")
    parser.add_argument("--offline", action="store_true", help="do not connect to the storage and the publisher")
    args: argparse.Namespace = parser.parse_args()
    is_wrong = False
    for finding in check(_config.environment(), offline=args.offline):
        is_wrong |= finding.level == ERROR
        if args.json:
            _common.print_json(asdict(finding))
        else:
            print(f"{finding.level:<7}  {_common.printable(finding.message)}")
    return EX_CONFIG if is_wrong else 0


if __name__ == "__main__":
    _common.run(main, ConfigurationError)
