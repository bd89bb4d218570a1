# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the functions at addresses, with the store of symbols. This is version 5 of Tecken's symbolication API.

A request has jobs. A job has modules and stacks. A frame of a stack is the index of a module and an offset in it.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antenna.symbols import Names, Store

#: The limits of one request: jobs (as in Tecken), modules and stacks of a job, frames of all jobs. A request beyond
#: them is refused.
MAX_JOBS, MAX_MODULES, MAX_STACKS, MAX_FRAMES = 10, 5000, 5000, 50_000
#: Seconds that answering a request may take. Then it is answered with 503.
TIMEOUT = 10.0
# The largest offset that a module can have.
_MAX_OFFSET = 2**64 - 1

# The debug files and debug ids that Tecken accepts. A module with an empty one has no symbols.
_DEBUG_FILE = re.compile(r"[A-Za-z0-9_.+{}@<> ()\[\]~#$%&,=!'-]*")
_DEBUG_ID = re.compile(r"[0-9A-Fa-f]*")

UNKNOWN = "<unknown>"


class BadRequestError(Exception):
    """A request is not one of the API. The message says why."""


class TooLongError(Exception):
    """The time for a request was not enough."""


@dataclass(slots=True)
class _Module:
    debug_file: str
    debug_id: str
    names: Names | None = None
    is_found: bool | None = None
    """Whether the store has its symbols. None until a frame needs them."""
    error: str = ""

    @property
    def key(self) -> str:
        return f"{self.debug_file}/{self.debug_id}"


class Symbolicator:
    """Answers requests for the functions at addresses."""

    def __init__(self, store: Store | None, *, timeout: float = TIMEOUT) -> None:
        """``store`` has the symbols. If it is None, no module has any."""
        self._store = store
        self._timeout = timeout

    def answer(self, request: object) -> dict[str, Any]:
        """Return the answer to a request. Raises ``BadRequestError`` and ``TooLongError``."""
        jobs = parse_request(request)
        until = time.monotonic() + self._timeout
        return {"results": [self._job(job, until) for job in jobs]}

    def _job(self, job: "Job", until: float) -> dict[str, Any]:
        stacks = []
        for stack in job.stacks:
            frames = []
            for number, frame in enumerate(stack):
                if time.monotonic() > until:
                    raise TooLongError
                frames.append(self._frame(number, frame, job.modules))
            stacks.append(frames)
        found: dict[str, Any] = {
            "stacks": stacks,
            "found_modules": {module.key: module.is_found for module in job.modules},
        }
        if errors := {module.key: module.error for module in job.modules if module.error}:
            found["module_errors"] = {
                key: [{"name": "SymbolFileError", "message": error}] for key, error in errors.items()
            }
        return found

    def _frame(self, number: int, frame: tuple[int, int], modules: Sequence[_Module]) -> dict[str, Any]:
        index, offset = frame
        found: dict[str, Any] = {"frame": number, "module_offset": hex(offset), "module": UNKNOWN}
        if index < 0:
            return found
        module = modules[index]
        found["module"] = module.debug_file
        if module.is_found is None:
            self._open(module)
        if module.names is None or not 0 <= offset <= _MAX_OFFSET:
            return found
        names = module.names.at(offset)
        if not names:
            return found
        *inlined, outer = names
        found |= {"function": outer.function, "function_offset": None if outer.offset is None else hex(outer.offset)}
        found |= {"file": outer.file, "line": outer.line}
        if inlined:
            found["inlines"] = [
                _known({"function": name.function, "file": name.file, "line": name.line}) for name in inlined
            ]
        return _known(found)

    def _open(self, module: _Module) -> None:
        module.is_found = False
        if self._store is None or not module.debug_file or not module.debug_id:
            return
        file = self._store.file(module.debug_file, module.debug_id.upper(), ".symcache")
        if file is None:
            return
        try:
            module.names = Names(file)
            module.is_found = True
        except ValueError:
            module.error = "the symbols that are stored cannot be read: add them again"


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Job:
    """The modules and the stacks of one job."""

    modules: list[_Module]
    stacks: list[list[tuple[int, int]]]


def parse_request(request: object) -> list[Job]:
    """Return the jobs of a request. As in Tecken, a request may also be a single job. Raises ``BadRequestError``."""
    if not isinstance(request, dict):
        raise BadRequestError("the request is no JSON object")
    jobs = request.get("jobs", [request])
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise BadRequestError("jobs is not a list of objects")
    if len(jobs) > MAX_JOBS:
        raise BadRequestError(f"there are more than {MAX_JOBS} jobs in one request")
    parsed = [_parse_job(number, job) for number, job in enumerate(jobs)]
    if sum(len(stack) for job in parsed for stack in job.stacks) > MAX_FRAMES:
        raise BadRequestError(f"there are more than {MAX_FRAMES} frames in one request")
    return parsed


def _parse_job(number: int, job: Mapping[str, Any]) -> Job:
    modules, stacks = job.get("memoryMap", []), job.get("stacks", [])
    if not isinstance(modules, list) or len(modules) > MAX_MODULES:
        raise BadRequestError(f"job {number}: memoryMap is not a list of at most {MAX_MODULES} modules")
    if not isinstance(stacks, list) or not stacks or len(stacks) > MAX_STACKS:
        raise BadRequestError(f"job {number}: stacks is not a list of 1 to {MAX_STACKS} stacks")
    parsed = [_parse_module(f"job {number}: module {index}", module) for index, module in enumerate(modules)]
    places = [f"job {number}: stack {index}" for index in range(len(stacks))]
    return Job(parsed, [_parse_stack(place, stack, len(parsed)) for place, stack in zip(places, stacks, strict=True)])


def _parse_module(place: str, module: object) -> _Module:
    if not isinstance(module, list) or len(module) != 2:  # noqa: PLR2004 - a pair
        raise BadRequestError(f"{place} is not a debug file and a debug id")
    debug_file, debug_id = module
    if not isinstance(debug_file, str) or _DEBUG_FILE.fullmatch(debug_file) is None:
        raise BadRequestError(f"{place} has a debug file that is none")
    if not isinstance(debug_id, str) or _DEBUG_ID.fullmatch(debug_id) is None:
        raise BadRequestError(f"{place} has a debug id that is none")
    return _Module(debug_file, debug_id)


def _parse_stack(place: str, stack: object, modules: int) -> list[tuple[int, int]]:
    if not isinstance(stack, list):
        raise BadRequestError(f"{place} is not a list of frames")
    frames = []
    for number, frame in enumerate(stack):
        if not isinstance(frame, list) or list(map(type, frame)) != [int, int]:
            raise BadRequestError(f"{place}, frame {number} is not the index of a module and an offset")
        index, offset = frame
        if not -1 <= index < modules:
            raise BadRequestError(f"{place}, frame {number} has the index of a module that is not there")
        if not -1 <= offset <= _MAX_OFFSET:
            raise BadRequestError(f"{place}, frame {number} has an offset that is none")
        frames.append((index, offset))
    return frames
