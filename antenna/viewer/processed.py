# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the processed crash: the facts in the raw crash and in the minidump, for the index and the pages.

A processed crash can be written as JSON, because a child process makes it and the index keeps it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from antenna.crash import identify
from antenna.minidump import DumpFacts, Minidump, MinidumpError, Module
from antenna.symbols import Store, crash_facts, missing, on_stack, read, sign
from antenna.viewer.sentence import sentence

_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9][0-9,.]*")

NO_MINIDUMP = "there is no minidump"

# Most threads whose stacks are kept, most frames of each, and most frames of all together. Further ones are left out. A
# browser has 100 threads with 3,000 frames.
_MAX_THREADS, _MAX_FRAMES, _MAX_ALL_FRAMES = 200, 100, 6000


class Processed(TypedDict):
    """A processed crash. ``dump`` has what ``show_crash --json`` prints. It is None if no minidump can be read."""

    crash_id: str
    signature: str
    signature_rules: str
    signature_is_guess: bool
    summary: str
    sentence: str
    """The heading of the page: see ``antenna.viewer.sentence``."""
    trouble: str
    """Why there is no ``dump``."""
    has_no_minidump: bool
    """Whether the report came without a minidump, which is no error."""
    dump: dict[str, Any] | None
    missing: list[dict[str, str]]
    """Modules on the stack of the crash whose symbols are missing."""
    stack_modules: list[dict[str, str]]
    """All modules on the stack of the crash."""
    protected: dict[str, str]
    """Command line and environment, by their titles."""


def process(
    crash_id: str,
    raw_crash: Mapping[str, Any],
    dump_names: Sequence[str],
    minidump: bytes | None,
    store: Store | None,
    trouble: str = "",
) -> Processed:
    """Process a crash. ``minidump`` is its main dump. If that cannot be read, the result's ``trouble`` says why.

    If the crash has a minidump but none is given here, the argument ``trouble`` says why.
    """
    if minidump is None:
        return _put_together(crash_id, raw_crash, dump_names, None, store, trouble or NO_MINIDUMP)
    try:
        dump = Minidump(minidump)
        return _put_together(crash_id, raw_crash, dump_names, read(dump, store), store, "")
    except MinidumpError as error:
        trouble = f"the minidump cannot be read: {error}"
    except (Exception, MemoryError) as error:  # noqa: BLE001 - the page has the error, and the next crash follows
        trouble = f"the minidump cannot be read: {type(error).__name__}: {error}"
    return _put_together(crash_id, raw_crash, dump_names, None, store, trouble[:500])


def _put_together(
    crash_id: str,
    raw_crash: Mapping[str, Any],
    dump_names: Sequence[str],
    facts: DumpFacts | None,
    store: Store | None,
    trouble: str,
) -> Processed:
    product, version = identify(raw_crash, "product"), identify(raw_crash, "version")
    signature = sign(crash_facts(raw_crash, product, dump_names, facts, _kind(trouble)))
    program = f"{product} {version}".strip()
    return Processed(
        crash_id=crash_id,
        signature=signature.text,
        signature_rules=signature.rules,
        signature_is_guess=signature.is_guess,
        summary=facts.summary(program) if facts is not None else f"{program or 'unknown product'} · {signature.text}",
        sentence=sentence(program, facts, has_no_minidump=trouble == NO_MINIDUMP),
        trouble=trouble,
        has_no_minidump=trouble == NO_MINIDUMP,
        dump=None if facts is None else _dump(facts, program),
        missing=[] if facts is None else [_module(module) for module in missing(facts, store)],
        stack_modules=[] if facts is None else [_module(module) for module in on_stack(facts)],
        protected={} if facts is None else _protected(facts),
    )


def _kind(trouble: str) -> str:
    """Return ``trouble`` without its details, so that crashes with the same trouble have the same signature."""
    said = ": ".join(trouble.split(": ")[:2])
    return _NUMBER.sub("N", said.partition(" (")[0])


def _module(module: Module) -> dict[str, str]:
    debug_file = module.debug_file or module.name
    return {"debug_file": debug_file, "debug_id": module.debug_id, "code_file": module.code_file}


def _dump(facts: DumpFacts, program: str) -> dict[str, Any]:
    found = facts.as_json(program)
    found["stack"] = found["stack"][:_MAX_FRAMES]
    threads, left = [], _MAX_ALL_FRAMES
    for thread in found["threads"][:_MAX_THREADS]:
        stack = thread["stack"][: min(_MAX_FRAMES, left)]
        left -= len(stack)
        threads.append(thread | {"stack": stack})
    found["threads"] = threads
    return found


def _protected(facts: DumpFacts) -> dict[str, str]:
    """Return the command line and the environment, which may have secrets of the program's user."""
    protected = facts.dump.protected
    found = {"command line": " ".join(protected.command_line), "environment": "\n".join(protected.environment)}
    return {name: value for name, value in found.items() if value}
