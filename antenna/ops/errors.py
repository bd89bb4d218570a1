# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Describes errors for logs and Sentry, without private data.

An error of our own is described by its message, any other error by its type and the place where it was raised.
Storages, rules and libraries of other authors may put the data that they were given into their messages: annotations,
headers, tokens.
"""

import os
from collections.abc import Iterator
from types import TracebackType

from antenna.backend import BackendFailure
from antenna.config import NOWHERE, last_step, place_of, public_reason

# Modules whose messages have no data of clients. The messages of everett quote those of our own parsers.
_OURS = ("antenna.", "everett.")
_OUR_TYPES = (*_OURS, "everett")


def describe(error: object) -> str:
    """Describe an error by its message if it is our own, or else by its type and the place where it was raised.

    A ``public_reason`` that another author's backend gives is added: see ``antenna.backend.BackendFailure``.
    """
    if not isinstance(error, BaseException):
        return str(error)
    name = type(error).__name__
    if is_ours(type(error).__module__, _module(error.__traceback__)):
        return str(error) or name
    if isinstance(error, OSError) and error.errno is not None and error.strerror == os.strerror(error.errno):
        return f"[Errno {error.errno}] {error.strerror}"  # without the name of the file
    place = place_of(error)
    said = name if place == NOWHERE else f"{name} at {place}"
    reason = public_reason(error) if isinstance(error, BackendFailure) else ""
    return f"{said}: {reason}" if reason else said


def describe_import(error: BaseException) -> str:
    """Describe an error that the import of another author's module has raised, like ``describe``.

    The ``public_reason`` of any exception is added, because an import knows nothing of clients. If a module was not
    found, its name is added.
    """
    said = describe(error)
    reason = "" if isinstance(error, BackendFailure) else public_reason(error)
    if not reason and isinstance(error, ModuleNotFoundError) and error.name:
        reason = f"there is no module {error.name}"
    return f"{said}: {reason}" if reason else said


def is_ours(type_module: str | None, raised_in: str | None) -> bool:
    """Whether the message of an error may be shown. ``raised_in`` is None if the error was made and never raised."""
    is_our_type = type_module is not None and type_module.startswith(_OUR_TYPES)
    return is_our_type and (raised_in is None or raised_in.startswith(_OURS))


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors that led to it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _module(traceback: TracebackType | None) -> str | None:
    last = last_step(traceback)
    return None if last is None else str(last.tb_frame.f_globals.get("__name__", ""))
