# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Names for the frames of a stack: a store of symbols, call frame information, functions and lines.

``Store`` is a directory with a folder for each module. ``bin/symbols.py`` adds symbol files to it. ``compiler`` reads
each of them once, in a child process with limits. It writes two files that are quick to look things up in: call frame
information as an SQLite database (``cfi_index``), and functions, files and lines as a SymCache of Sentry's symbolic
(``names``). ``SymbolWalker`` uses both for the stacks of one dump. ``signature`` makes the signature of the crash,
and ``processing`` puts it all together.

Only symbol files that the team added meet native code, never a dump: this package asks a store for an address and gets
an answer. Without the package symbolic nothing can be added; stacks then have no functions, but call frame information
that was added before is used.
"""

from antenna.symbols.compiler import SymbolError
from antenna.symbols.processing import crash_facts, missing, on_stack, read
from antenna.symbols.signature import CrashFacts, Signature, sign
from antenna.symbols.store import Entry, Store, breakpad_id
from antenna.symbols.symbolizer import Symbolizer, SymbolWalker

__all__ = [
    "CrashFacts",
    "Entry",
    "Signature",
    "Store",
    "SymbolError",
    "SymbolWalker",
    "Symbolizer",
    "breakpad_id",
    "crash_facts",
    "missing",
    "on_stack",
    "read",
    "sign",
]
