# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads all of a dump."""

from antenna.minidump import Minidump, Stack, StackWalker


def read_everything(content: bytes) -> tuple[Minidump, list[Stack]]:
    """Read all streams, and walk all stacks. Raises what ``Minidump`` raises."""
    dump = Minidump(content)
    walker = StackWalker(dump)
    stacks = [walker.walk(thread) for thread in dump.threads]
    assert dump.reason is None or dump.reason.text
    assert dump.uptime is None or dump.uptime.total_seconds() >= 0
    assert dump.requesting_thread is None or dump.requesting_thread in dump.threads
    assert dump.memory_map.mappings is not None
    assert dump.linux_files is not None
    assert dump.protected is not None
    return dump, stacks


def describe(stack: Stack) -> list[tuple[str, str | None, int | None]]:
    """Return the trust, the module and the offset of each frame."""
    return [
        (frame.trust.value, frame.module.name if frame.module else None, frame.module_offset) for frame in stack.frames
    ]
