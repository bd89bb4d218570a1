# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the heading of a report: one sentence that says what crashed.

``Firefox 153.0 crashed with SIGSEGV at 0x10 in World::tick(int), on the main thread, on Linux x86_64.``
"""

from antenna.minidump import DumpFacts, Frame, Kind

# Characters of a program's name and version. Clients choose them, so longer ones are cut.
_MAX_PROGRAM = 100
# The usual names of these CPUs.
_MACHINES = {"amd64": "x86_64"}


def sentence(program: str, facts: DumpFacts | None, *, has_no_minidump: bool) -> str:
    """Return the sentence. ``facts`` is None if no minidump can be read."""
    program = program or (facts.program if facts is not None else "") or "A program"
    if len(program) > _MAX_PROGRAM:
        program = program[:_MAX_PROGRAM] + "…"
    if facts is None:
        if has_no_minidump:
            return f"{program} sent a crash report without a minidump."
        return f"{program} crashed, and its minidump cannot be read."
    system = facts.dump.system
    where = [
        _thread(facts),
        f"on {system.os} {_MACHINES.get(system.cpu, system.cpu)}" if system is not None else "",
    ]
    return ", ".join(filter(None, [_what(program, facts), *where])) + "."


def _what(program: str, facts: DumpFacts) -> str:
    frames = facts.stack.frames if facts.stack is not None else ()
    place = f" in {_place(frames[0])}" if frames else ""
    reason = facts.dump.reason
    if reason is None or reason.kind is not Kind.CRASH:
        return f"{program} did not crash: it wrote a dump{place}"
    address = f" at {reason.address:#x}" if reason.has_address else ""
    return f"{program} crashed with {reason.short}{address}{place}"


def _thread(facts: DumpFacts) -> str:
    thread = facts.thread
    if thread is None:
        return ""
    if facts.is_main(thread):
        return "on the main thread"
    return f"on thread {thread.index}" + (f" ({thread.name})" if thread.name else "")


def _place(frame: Frame) -> str:
    if frame.function:
        return frame.function
    if frame.module is None:
        return f"unknown code at {frame.instruction:#x}"
    return f"{frame.module.name}+{frame.module_offset:#x}"
