# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the programs share: arguments, errors, exit codes, progress. Needs the standard library only."""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from bin import _python

T = TypeVar("T")

ROOT = _python.ROOT


class ToolError(Exception):
    """The program cannot go on; the message says why."""


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring ``doc`` of a program, its examples below the options."""
    description, _, examples = (doc or "").partition("Examples:")
    return argparse.ArgumentParser(
        description=description,
        epilog=f"Examples:{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], int], *errors: type[Exception]) -> NoReturn:
    """End with the exit code that ``main`` returns.

    ``errors``, and ``ToolError``, are a line on stderr and exit code 1.
    """
    program = Path(sys.argv[0]).name
    expected: tuple[type[Exception], ...] = (ToolError, *errors)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of another encoding shows what it cannot show as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except expected as error:
        note(f"{program}: {error}")
        code = 1
    except KeyboardInterrupt:
        note(f"{program}: interrupted")
        code = 130
    sys.exit(code)


def positive_int(text: str) -> int:
    """Parse a number of at least 1, for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def positive_float(text: str) -> float:
    """Parse a number above 0, for ``argparse``."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def print_json(item: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(item))


def printable(text: str) -> str:
    """Return text that a terminal can show: what clients sent may hold characters that control it.

    Escaped, as in JSON, is what Unicode does not call printable: control characters (C0, C1, DEL), those that change
    the direction of text, and halves of surrogate pairs, as in names that are not UTF-8. Line breaks stay.
    """
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def note(message: str) -> None:
    """Tell the person before the screen something; characters that control a terminal are escaped."""
    print(printable(message), file=sys.stderr)


class Progress:
    """Says on stderr, now and then, how far long work has come; work that is done soon says nothing."""

    def __init__(self, what: str, total: int | None = None, stream: TextIO = sys.stderr) -> None:
        """``what`` stands in front of the number, such as "fetched"."""
        self._what = what
        self._of_total = "" if total is None else f" of {total}"
        self._stream = stream
        # A screen gets one line that changes, unless it shows stdout as well. A log gets a line now and then.
        self._is_screen = stream.isatty() and not sys.stdout.isatty()
        self._interval = 0.5 if self._is_screen else 10.0
        self._start = self._last = time.monotonic()
        self._done = 0

    def watch(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and count them."""
        for item in items:
            self.step()
            yield item
        self.end()

    def step(self) -> None:
        """Count one more."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            rate = self._done / (now - self._start)
            self._print(f"{self._what} {self._done}{self._of_total} ({rate:.0f}/s)")

    def end(self) -> None:
        """Leave the screen free for what comes next."""
        if self._is_screen and self._last > self._start:
            self._print("")

    def _print(self, line: str) -> None:
        start, end = ("\r\033[K", "") if self._is_screen else ("", "\n")
        print(f"{start}{line}", end=end, file=self._stream, flush=True)
