# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The facts about a dump whose stacks were walked, as a sentence for people and as JSON.

The names in JSON are those that tools of this field share: ``os``, ``cpu``, ``crash_reason``, ``crash_address``,
``crashing_thread_index``. Addresses and offsets are text in hexadecimal, because some readers cannot hold such large
numbers. The command line and the environment of the process are left out.
"""

from typing import Any

from antenna.minidump.minidump import Minidump
from antenna.minidump.reasons import Kind
from antenna.minidump.stack import Frame, Stack, StackWalker
from antenna.minidump.threads import Thread

# The usual names of these CPUs.
_MACHINES = {"amd64": "x86_64"}


class DumpFacts:
    """The facts about a dump."""

    def __init__(self, dump: Minidump, walker: StackWalker | None = None) -> None:
        """``walker`` walks the stacks. It may know symbols."""
        self.dump = dump
        self._walker = walker or StackWalker(dump)
        self.thread = dump.requesting_thread
        """The thread that crashed, or that asked for the dump."""
        start = self.thread or _unlisted_thread(dump)
        self.stack = None if start is None else self._walker.walk(start)
        """The stack of ``thread``. None if the dump does not say which thread it is."""

    def walk(self, thread: Thread) -> Stack:
        """Return the stack of a thread."""
        if thread is self.thread and self.stack is not None:
            return self.stack
        return self._walker.walk(thread)

    @property
    def program(self) -> str:
        """The name of the program: the product that Crashpad was told, or else the name of the first module's file."""
        annotations = self.annotations
        for product, version in (("prod", "ver"), ("_productName", "_version"), ("ProductName", "Version")):
            if name := annotations.get(product):
                return f"{name} {annotations.get(version, '')}".strip()
        return self.dump.modules[0].name if len(self.dump.modules) else ""

    @property
    def annotations(self) -> dict[str, str]:
        """Crashpad's annotations: those of the process, and those of its modules that have a name."""
        crashpad = self.dump.crashpad
        if crashpad is None:
            return {}
        found: dict[str, str] = {}
        for module in crashpad.modules:
            found |= module.simple | module.objects
        return found | crashpad.annotations

    def summary(self, program: str = "") -> str:
        """Return one line that says what crashed, why, where, and on what system.

        ``program`` is its name, if it is known.
        """
        frame = self.stack.frames[0] if self.stack and self.stack.frames else None
        system = self.dump.system
        parts = [
            program or self.program,
            self._what(),
            place(frame) if frame else "",
            f"{system.os} {_MACHINES.get(system.cpu, system.cpu)}" if system else "",
            self._which_thread(),
        ]
        return " · ".join(part for part in parts if part)

    def _what(self) -> str:
        reason = self.dump.reason
        if reason is None:
            return "no exception"
        if reason.kind is Kind.REQUESTED:
            return "no crash: the dump was requested"
        return f"{reason.short} at {reason.address:#x}" if reason.has_address else reason.short

    def _which_thread(self) -> str:
        if self.thread is None:
            return ""
        return "main thread" if self.is_main(self.thread) else thread_title(self.thread)

    def is_main(self, thread: Thread) -> bool:
        """Whether a thread is the one with which the process began. On Linux its id is that of the process."""
        system, process_id = self.dump.system, self.dump.misc.process_id
        if system is not None and system.is_linux:
            process_id = process_id or self.dump.linux_files.process_id
            if process_id is not None:
                return thread.id == process_id
        return thread.index == 0

    def as_json(self, program: str = "") -> dict[str, Any]:
        """Return all facts except memory, command line and environment. ``program`` is as for ``summary``."""
        dump, system, exception, reason = self.dump, self.dump.system, self.dump.exception, self.dump.reason
        crashing = dump.crashing_thread
        frames = self.stack.frames if self.stack else ()
        return {
            "summary": self.summary(program),
            "os": system.os if system else None,
            "os_version": system.os_version if system else None,
            "cpu": system.cpu if system else None,
            "cpu_info": system.cpu_info if system else None,
            "cpu_count": system.cpu_count if system else None,
            "time": dump.time.isoformat() if dump.time else None,
            "uptime_seconds": dump.uptime.total_seconds() if dump.uptime else None,
            "process_id": dump.misc.process_id,
            "is_crash": reason is not None and reason.kind is Kind.CRASH,
            "crash_reason": reason.text if reason else None,
            "crash_address": hex(reason.address) if reason else None,
            "crash_note": reason.note if reason else "",
            "crashing_tid": exception.thread_id if exception else None,
            "crashing_thread_index": crashing.index if crashing else None,
            "requesting_thread_index": self.thread.index if self.thread else None,
            "thread_count": len(dump.threads),
            "module_count": len(dump.modules),
            "top_frame": frame_as_json(frames[0]) if frames else None,
            "stack": stack_as_json(self.stack) if self.stack else [],
            "stack_cut": self.stack.cut if self.stack else "",
            "registers": self._registers(),
            "threads": [self._thread(thread) for thread in dump.threads],
            **self._modules(),
            **self._said(),
            "damage": list(dump.damage),
        }

    def _registers(self) -> dict[str, str]:
        frames = self.stack.frames if self.stack else ()
        return {name: hex(value) for name, value in frames[0].registers.values.items()} if frames else {}

    def _thread(self, thread: Thread) -> dict[str, Any]:
        stack = self.walk(thread)
        return {
            "index": thread.index,
            "id": thread.id,
            "name": thread.name,
            "stack": stack_as_json(stack),
            "stack_cut": stack.cut,
        }

    def _modules(self) -> dict[str, Any]:
        return {
            "modules": [
                {
                    "name": module.name,
                    "version": module.version,
                    "base": hex(module.base),
                    "size": hex(module.size),
                    "code_file": module.code_file,
                    "code_id": module.code_id,
                    "debug_file": module.debug_file,
                    "debug_id": module.debug_id,
                }
                for module in self.dump.modules
            ],
            "unloaded_modules": [
                {"name": module.name, "base": hex(module.base), "size": hex(module.size), "code_id": module.code_id}
                for module in self.dump.unloaded_modules
            ],
        }

    def _said(self) -> dict[str, Any]:
        """Return what the program and its libraries wrote into the dump themselves."""
        crashpad = self.dump.crashpad
        return {
            "crashpad_annotations": crashpad.annotations if crashpad else {},
            "module_annotations": [
                {
                    "module_index": module.module_index,
                    "list": list(module.lines),
                    "simple": module.simple,
                    "objects": module.objects,
                }
                for module in (crashpad.modules if crashpad else ())
            ],
            "assertion": self.dump.assertion,
            "comments": list(self.dump.comments),
            "mac_crash_info": [
                {"module": message.module, "messages": list(message.messages)} for message in self.dump.mac_crash_info
            ],
        }


def _unlisted_thread(dump: Minidump) -> Thread | None:
    """Return a thread for the exception, if the dump has its registers but the thread list lacks it.

    This happens if the thread list is damaged.
    """
    exception = dump.exception
    if exception is None or exception.registers is None:
        return None
    return Thread(-1, exception.thread_id, None, exception.registers, None)


def place(frame: Frame) -> str:
    """Return the place of a frame: its function, or else its module and offset, or else its address."""
    if frame.function:
        return frame.function
    if frame.module is None:
        return hex(frame.instruction)
    return f"{frame.module.name}+{frame.module_offset:#x}"


def thread_title(thread: Thread) -> str:
    """Return the title of a thread: its number in the dump, and its name if it has one."""
    return f"thread {thread.index}" + (f" ({thread.name})" if thread.name else "")


def stack_as_json(stack: Stack) -> list[dict[str, Any]]:
    """Return the frames of a stack, as JSON."""
    return [frame_as_json(frame) for frame in stack.frames]


def frame_as_json(frame: Frame) -> dict[str, Any]:
    """Return a frame, as JSON. The members that need symbols are left out if there are none."""
    found: dict[str, Any] = {
        "address": hex(frame.instruction),
        "module": frame.module.name if frame.module else None,
        "offset": hex(frame.instruction - frame.module.base) if frame.module else None,
        "trust": frame.trust.value,
    }
    if frame.function is not None:
        found |= {"function": frame.function, "file": frame.file, "line": frame.line}
        found["inlines"] = [
            {"function": inline.function, "file": inline.file, "line": inline.line} for inline in frame.inlines
        ]
    return found
