# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prints minidumps for people: stacks, threads, modules and registers as text. The output cannot control a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bin import _common  # isort: split

from antenna.minidump import DumpFacts, Frame, Minidump, Module, Stack, Thread, Trust, describe_system
from antenna.minidump.facts import place, thread_title
from antenna.symbols import Signature, Store, crash_facts, missing, read, sign

# Most frames of a stack that are printed. Endless recursion has a thousand, and --json shows them all.
_MAX_FRAMES = 60
# Most guessed frames at the end of a stack that are printed. Each guess makes the next one less likely.
_MAX_GUESSES = 8
# Most modules without symbols that are printed.
_MAX_WITHOUT_SYMBOLS = 8
# Most characters of a value, and of any line, that are printed. In a hostile dump thousands of modules may share one
# long name.
_MAX_VALUE, _MAX_LINE = 400, 2000
_REGISTERS_A_LINE = 4
# A remark on how a frame was found. The innermost frame needs none.
_HOW = {Trust.CONTEXT: "", Trust.CFI: "cfi", Trust.FRAME_POINTER: "frame pointer", Trust.SCAN: "scan: a guess"}


@dataclass(frozen=True)
class Shown:
    """The parts that are shown in addition to the stack."""

    threads: bool = False
    modules: bool = False
    registers: bool = False


class ReadDump:
    """A minidump whose stacks were walked, with symbols as far as the store has them."""

    def __init__(self, dump: Minidump, store: Store | None) -> None:
        self.facts: DumpFacts = read(dump, store)
        self.missing: list[Module] = missing(self.facts, store)

    def sign(self, annotations: Mapping[str, Any], product: str, dump_names: Sequence[str]) -> Signature:
        """Return the signature of the crash that the dump belongs to."""
        return sign(crash_facts(annotations, product, dump_names, self.facts))

    def as_json(self, program: str = "", signature: Signature | None = None) -> dict[str, Any]:
        """Return the facts of the dump. A stored crash passes ``program`` and ``signature``, which it knows better."""
        signature = signature or self.sign(self.facts.annotations, "", ())
        return self.facts.as_json(program) | {
            "signature": signature.text,
            "signature_rules": signature.rules,
            "missing_symbols": [
                {"debug_file": module.debug_file, "debug_id": module.debug_id, "code_file": module.code_file}
                for module in self.missing
            ],
        }

    def describe(self, shown: Shown, signature: Signature | None = None) -> Iterator[str]:
        """Yield the lines about the dump, without its summary. A stored crash passes its ``signature``."""
        yield from describe(self.facts, self.missing, signature or self.sign(self.facts.annotations, "", ()), shown)


def line(text: str) -> str:
    """Return text as one line that a terminal can show. A very long line is cut."""
    if len(text) > _MAX_LINE:
        text = f"{text[:_MAX_LINE]}... ({len(text):,} characters; --json has them all)"
    return _common.printable(text).replace("\n", "\\n")


def labelled(label: str, text: str) -> str:
    """Return a line whose text stands below that of the other lines with a label."""
    return line(f"{f'{label}:' if label else '':<11}{text}")


def short(text: str) -> str:
    """Return a value as one line. A long value is cut."""
    if len(text) > _MAX_VALUE:
        text = f"{text[:_MAX_VALUE]}... ({len(text):,} characters; --json has them all)"
    return line(text)


def describe(facts: DumpFacts, without_symbols: Sequence[Module], signature: Signature, shown: Shown) -> Iterator[str]:
    """Yield the lines about a dump, without its summary."""
    yield from _paragraph(_facts(facts))
    yield describe_signature(signature)
    if facts.stack is not None:
        title = _title(facts, facts.thread) if facts.thread else "the thread that crashed, which is not listed"
        yield from _paragraph(_stack(f"Stack of {title}:", facts.stack))
        yield from _paragraph(_without_symbols(without_symbols))
        if shown.registers:
            yield from _paragraph(_registers(facts.stack))
    if shown.threads:
        for thread in facts.dump.threads:
            if thread is not facts.thread:
                yield from _paragraph(_stack(f"Stack of {_title(facts, thread)}:", facts.walk(thread)))
    if shown.modules:
        yield from _paragraph(_modules(facts))
    yield from _paragraph(_said(facts))


def describe_signature(signature: Signature) -> str:
    """Return a line about a signature."""
    guess = ", a guess: made of scanned frames" if signature.is_guess else ""
    return labelled("Signature", f"{signature.text}  (by {signature.rules}{guess})")


def _without_symbols(modules: Sequence[Module]) -> Iterator[str]:
    if modules:
        yield "These modules have no symbols, so no functions and lines are shown (bin/symbols.py add FILE):"
    for module in modules[:_MAX_WITHOUT_SYMBOLS]:
        yield line(f"  {module.debug_file or module.name} {module.debug_id or '(no debug id)'}")
    left = len(modules) - _MAX_WITHOUT_SYMBOLS
    if left > 0:
        yield f"  ... and {left:,} more, which --json shows"


def _paragraph(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines. If there are any, an empty line comes first."""
    for number, each in enumerate(lines):
        if not number:
            yield ""
        yield each


def _facts(facts: DumpFacts) -> Iterator[str]:
    dump, reason, system = facts.dump, facts.dump.reason, facts.dump.system
    if reason is None:
        yield labelled("Reason", "none: the dump has no exception")
    else:
        yield labelled("Reason", f"{reason.text}, address {reason.address:#x}")
        if reason.note:
            yield labelled("", f"({reason.note})")
    if system is not None:
        count = f", {_count(system.cpu_count, 'CPU')}" if system.cpu_count else ""
        info = f" ({system.cpu_info})" if system.cpu_info else ""
        name = describe_system(system.os, system.os_version)
        yield labelled("System", f"{name}, {system.cpu}{info}{count}")
    process = [f"pid {dump.misc.process_id}"] if dump.misc.process_id is not None else []
    process += [f"up {dump.uptime}"] if dump.uptime is not None else []
    process += [f"dump written {dump.time:%Y-%m-%d %H:%M:%S} UTC"] if dump.time is not None else []
    process.append(f"{_count(len(dump.threads), 'thread')}, {_count(len(dump.modules), 'module')}")
    yield labelled("Process", ", ".join(process))
    for problem in dump.damage:
        yield labelled("Damaged", problem)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _title(facts: DumpFacts, thread: Thread) -> str:
    title = thread_title(thread)
    if facts.is_main(thread):
        title += ", the main thread"
    return title


def _stack(title: str, stack: Stack) -> Iterator[str]:
    yield line(title)
    frames = _worth_printing(stack.frames)
    width = max((len(_where(frame)) for frame in frames), default=0)
    for frame in frames:
        for inline in frame.inlines:
            yield line(f"      {inline.function}{_source(inline.file, inline.line)}  inlined")
        yield line(f"  {frame.index:>3} {_where(frame):<{min(width, 80)}}  {_how(frame)}".rstrip())
    if left := len(stack.frames) - len(frames):
        yield f"      ... and {left:,} more {'guesses' if frames[-1].is_guess else 'frames'}, which --json shows"
    if stack.cut:
        yield f"      ({stack.cut})"


def _how(frame: Frame) -> str:
    return "interrupted by a signal" if frame.is_interrupted else _HOW[frame.trust]


def _worth_printing(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    certain = max((frame.index + 1 for frame in frames if not frame.is_guess), default=0)
    return frames[: min(_MAX_FRAMES, certain + _MAX_GUESSES)]


def _where(frame: Frame) -> str:
    where = place(frame)
    if frame.function and frame.module:
        where = f"{where} [{frame.module.name}+{frame.module_offset:#x}]"
    return where + _source(frame.file, frame.line)


def _source(file: str | None, number: int | None) -> str:
    if not file:
        return ""
    return f" at {file}:{number}" if number else f" at {file}"


def _registers(stack: Stack) -> Iterator[str]:
    if not stack.frames:
        return
    registers = stack.frames[0].registers
    digits = 2 * registers.cpu.word
    cells = [f"{name:>6} {value:0{digits}x}" for name, value in registers.values.items()]
    yield "Registers:"
    for start in range(0, len(cells), _REGISTERS_A_LINE):
        yield " ".join(cells[start : start + _REGISTERS_A_LINE])


def _modules(facts: DumpFacts) -> Iterator[str]:
    yield "Modules:"
    for module in facts.dump.modules:
        version = f" {module.version}" if module.version else ""
        yield line(f"  {module.base:#x}-{module.end:#x} {module.name}{version}  {module.debug_id or 'no debug id'}")
        yield line(f"      {module.code_file}  {module.code_id}".rstrip())
    if facts.dump.unloaded_modules:
        yield "Unloaded modules:"
    for unloaded in facts.dump.unloaded_modules:
        yield line(f"  {unloaded.base:#x}-{unloaded.base + unloaded.size:#x} {unloaded.name}  {unloaded.code_id}")


def _said(facts: DumpFacts) -> Iterator[str]:
    """Yield what the program and its libraries wrote: assertions, comments, messages, annotations."""
    dump = facts.dump
    if dump.assertion:
        yield f"Assertion: {short(dump.assertion)}"
    for comment in dump.comments:
        yield f"Comment: {short(comment)}"
    for message in dump.mac_crash_info:
        yield f"{line(message.module)} says: {short(' / '.join(message.messages))}"
    for module in dump.crashpad.modules if dump.crashpad else ():
        for text in module.lines:
            yield f"{_module_name(facts, module.module_index)} says: {short(text)}"
    if facts.annotations:
        yield "Annotations in the dump:"
    for name, value in sorted(facts.annotations.items()):
        yield f"  {short(name)}: {short(value)}"


def _module_name(facts: DumpFacts, index: int) -> str:
    modules = facts.dump.modules
    return line(modules[index].name) if index < len(modules) else f"module {index}"
