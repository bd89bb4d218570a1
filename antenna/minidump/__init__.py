# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads minidumps: what crashed, and where.

``Minidump`` takes a file or bytes and offers their content: the machine (``system``), why the dump was written
(``reason``), threads with their registers, modules with the ids of their symbols, memory, annotations. ``StackWalker``
finds the calls on a thread's stack, and says how far each can be trusted. An ``Unwinder`` that knows symbols can be
plugged in. ``DumpFacts`` returns all of this as one sentence for people, and as JSON.

Dumps come from strangers. So ``source.Reader`` checks each offset, count and length against the file, and bounds the
bytes that are read. Lists have limits. Lookups by address are binary searches in sorted, disjoint ranges. The only
exception that is raised is ``MinidumpError``. If a part of a dump is damaged, only that part is empty, and
``Minidump.damage`` names it.

This package imports nothing of the collector and needs no library. Structures are those of Microsoft's minidumpapiset.h
and winnt.h, and of Breakpad's and Crashpad's headers. Tests are in tests/minidump, which build dumps of every kind.
"""

from antenna.minidump.cpu import Cpu, Registers
from antenna.minidump.facts import DumpFacts
from antenna.minidump.minidump import Minidump
from antenna.minidump.modules import Module
from antenna.minidump.process import Process
from antenna.minidump.reasons import Kind, Reason
from antenna.minidump.source import MinidumpError
from antenna.minidump.stack import Frame, Inline, Stack, StackWalker, Trust, Unwinder
from antenna.minidump.system_info import describe_system
from antenna.minidump.threads import Thread

__all__ = [
    "Cpu",
    "DumpFacts",
    "Frame",
    "Inline",
    "Kind",
    "Minidump",
    "MinidumpError",
    "Module",
    "Process",
    "Reason",
    "Registers",
    "Stack",
    "StackWalker",
    "Thread",
    "Trust",
    "Unwinder",
    "describe_system",
]
