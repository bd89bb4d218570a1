# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Imports the object that an option names.

Its module may be the operator's own and raise anything, with secrets in the message. So a failure is described by the
type of the error and the place where it was raised, and by the ``public_reason`` that the author has given it.
"""

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any

# Characters of a ``public_reason``. A longer one is cut.
_LONGEST_REASON = 200
#: The text for a place that is not known.
NOWHERE = "an unknown place"


class ImportFailedError(Exception):
    """An object cannot be imported. The message says why, without text of the module's author."""


def import_attribute(module_name: str, attribute: str) -> Any:
    """Return an attribute of a module. Raises ``ImportFailedError``."""
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ImportFailedError(f"there is no module {error.name or module_name}") from error
    except Exception as error:
        said = f"{type(error).__name__} at {place_of(error)}"
        reason = public_reason(error)
        raise ImportFailedError(f"{said}: {reason}" if reason else said) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ImportFailedError(f"module {module_name} has no attribute {attribute}") from error


def public_reason(error: BaseException) -> str:
    """Return the ``public_reason`` that an author has given to an error, or an empty text if there is none."""
    reason = getattr(error, "public_reason", "")
    return reason[:_LONGEST_REASON] if isinstance(reason, str) else ""


def place_of(error: BaseException) -> str:
    """Return the file and the line where an error was raised. For a syntax error, return those of the bad source."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}:{error.lineno}"
    last = last_step(error.__traceback__)
    return NOWHERE if last is None else f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"


def last_step(traceback: TracebackType | None) -> TracebackType | None:
    """Return the last step of a traceback, leaving out the steps in Python's machinery of imports."""
    last = traceback
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            last = traceback
        traceback = traceback.tb_next
    return last
