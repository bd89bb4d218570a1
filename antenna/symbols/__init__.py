# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gives names to the frames of a stack, and makes signatures. It keeps the symbols in a store.

``Store`` is a directory with a folder for each module. ``bin/symbols.py`` adds symbol files to it. ``compiler`` reads
each of them once, in a child process with limits. It writes two files in which lookups are fast. One is an SQLite
database of call frame information (``cfi_index``). The other is a SymCache of Sentry's symbolic, with functions, files
and lines (``names``). ``SymbolWalker`` uses both for the stacks of one dump. ``signature`` makes the signature of a
crash, and ``processing`` combines all of this for the tools and the viewer.

Native code reads only symbol files that the team has added, never a dump: of a dump, only addresses are looked up. If
the package symbolic is not installed, nothing can be added, and stacks have no functions. Call frame information that
was added before is still used. Tests are in tests/symbols.
"""

from antenna.symbols.compiler import SymbolError
from antenna.symbols.names import Names, prepare_demangling
from antenna.symbols.processing import crash_facts, missing, on_stack, read
from antenna.symbols.signature import CrashFacts, Signature, sign
from antenna.symbols.store import Entry, Store, breakpad_id
from antenna.symbols.symbolizer import Symbolizer, SymbolWalker

__all__ = [
    "CrashFacts",
    "Entry",
    "Names",
    "Signature",
    "Store",
    "SymbolError",
    "SymbolWalker",
    "Symbolizer",
    "breakpad_id",
    "crash_facts",
    "missing",
    "on_stack",
    "prepare_demangling",
    "read",
    "sign",
]
