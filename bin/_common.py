# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The functions that all programs share: arguments, errors, exit codes, progress.

They need the standard library only.
"""

import argparse
import gc
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
    """The program cannot continue. The message says why."""


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring ``doc`` of a program. The examples in it follow the options."""
    description, _, examples = (doc or "").partition("Examples:")
    return argparse.ArgumentParser(
        description=description,
        epilog=f"Examples:{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], int], *errors: type[Exception]) -> NoReturn:
    """Run ``main``, and end the program with the exit code that it returns.

    ``ToolError``, ``OSError`` and ``errors`` are printed as one line on stderr, and the exit code is 1.
    """
    _open_missing_streams()
    # What the program has imported stays. Otherwise Python would look at all of it once more at the end.
    gc.freeze()
    program = Path(sys.argv[0]).name
    expected: tuple[type[Exception], ...] = (ToolError, OSError, *errors)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # If the encoding of the terminal does not have a character, it is shown as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has closed it
        code = 1
    except expected as error:
        note(f"{program}: {error}")
        code = 1
    except KeyboardInterrupt:
        note(f"{program}: interrupted")
        code = 130
    _end_output()
    sys.exit(code)


def _open_missing_streams() -> None:
    """Replace the streams that were closed before the start, as ``>&-`` does. Python sets them to None."""
    # Their descriptors are the lowest ones that are free. So they have to be opened in this order, and before any file.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the end


def _end_output() -> None:
    """Flush stdout. If that fails, drop the rest. Otherwise Python would complain about it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    """Escape the characters with which text from a client could control a terminal.

    All characters that Unicode does not call printable are escaped as in JSON. These are control characters (C0, C1,
    DEL), those that change the direction of text, and halves of surrogate pairs, which names of files may have. Line
    breaks stay.
    """
    odd = {ord(char): json.dumps(char)[1:-1] for char in set(text) if not (char.isprintable() or char == "\n")}
    return text.translate(odd) if odd else text


def note(message: str) -> None:
    """Print a message on stderr. Characters that control a terminal are escaped."""
    print(printable(message), file=sys.stderr)


class Progress:
    """Prints on stderr from time to time how far long work has come. It prints nothing about short work."""

    def __init__(self, what: str, total: int | None = None, stream: TextIO = sys.stderr) -> None:
        """``what`` is put before the number, such as "fetched"."""
        self._what = what
        self._of_total = "" if total is None else f" of {total}"
        self._stream = stream
        # On a screen, one line is updated, unless stdout is on the same screen. A log gets a line from time to time.
        self._is_screen = stream.isatty() and not sys.stdout.isatty()
        self._interval = 0.5 if self._is_screen else 10.0
        self._start = self._last = time.monotonic()
        self._done = 0

    def watch(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and count them."""
        for item in items:
            self.step()
            yield item
        self.end()

    def step(self) -> None:
        """Count one item."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            rate = self._done / (now - self._start)
            self._print(f"{self._what} {self._done}{self._of_total} ({rate:.0f}/s)")

    def end(self) -> None:
        """End the line on the screen, so that the next output begins a new line."""
        if self._is_screen and self._last > self._start:
            self._print("")

    def _print(self, line: str) -> None:
        start, end = ("\r\033[K", "") if self._is_screen else ("", "\n")
        print(f"{start}{line}", end=end, file=self._stream, flush=True)
