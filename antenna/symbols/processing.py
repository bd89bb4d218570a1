# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Turns a minidump into named stacks and a signature, which the tools and the viewer show."""

from collections.abc import Mapping, Sequence
from typing import Any

from antenna.minidump import DumpFacts, Kind, Minidump, Module, Stack
from antenna.symbols.signature import CrashFacts
from antenna.symbols.store import Store
from antenna.symbols.symbolizer import SymbolWalker


def read(dump: Minidump, store: Store | None) -> DumpFacts:
    """Return the facts of a dump. Its stacks are walked and named with the symbols of ``store``, if there is one."""
    return DumpFacts(dump, None if store is None else SymbolWalker(dump, store))


def on_stack(facts: DumpFacts) -> list[Module]:
    """Return the modules on the stack of the crash, innermost first, including those of guessed frames."""
    frames = facts.stack.frames if facts.stack is not None else ()
    return list(dict.fromkeys(frame.module for frame in frames if frame.module))


def missing(facts: DumpFacts, store: Store | None) -> list[Module]:
    """Return the modules on the stack of the crash that have no symbols, innermost first.

    Guessed frames are not considered, because their modules may have nothing to do with the crash.
    """
    frames = facts.stack.frames if facts.stack is not None else ()
    modules = dict.fromkeys(frame.module for frame in frames if frame.module and not frame.is_guess)
    return [module for module in modules if store is None or store.find(module.debug_file, module.debug_id) is None]


def crash_facts(
    annotations: Mapping[str, Any], product: str, dump_names: Sequence[str], facts: DumpFacts | None, trouble: str = ""
) -> CrashFacts:
    """Return the facts from which a signature is made.

    ``facts`` are those of the dump of the crashed process. If they are None, ``trouble`` says why: there was no dump,
    or it cannot be read.
    """
    if facts is None:
        return CrashFacts(annotations, product, trouble=trouble or "there is no minidump", dump_names=dump_names)
    dump = facts.dump
    crashing = facts.thread.index if facts.thread is not None else None
    return CrashFacts(
        annotations,
        product,
        os=dump.system.os if dump.system else "",
        reason=dump.reason.text if dump.reason else "",
        is_crash=dump.reason is not None and dump.reason.kind is Kind.CRASH,
        # A signature uses the stack of the thread that crashed, or for a hang that of the first thread.
        stacks=[facts.walk(thread) if thread.index in {0, crashing} else Stack(()) for thread in dump.threads],
        crashing_thread=crashing,
        dump_names=dump_names,
    )
