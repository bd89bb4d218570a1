# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the caller of a frame by guessing: it takes the first word on the stack that could be a return address.

Such a word may be left over from a call that returned long ago. So the caller may be wrong.
"""

from antenna.minidump.cpu import Registers, caller
from antenna.minidump.process import Process

# Words of the stack that are searched, as in Breakpad. From a frame that is certain, more words are searched, because
# code that was compiled at run time, which this search does not find, may be in between.
WORDS = 40
WORDS_FROM_CERTAIN = 160
# Largest distance in bytes between a return address and its caller's frame pointer.
_LARGEST_GAP = 128 * 1024


def unwind(registers: Registers, process: Process, count: int) -> Registers | None:
    """Return the caller's registers, or None if none of the next ``count`` words looks like a return address."""
    cpu, word = registers.cpu, registers.cpu.word
    start = registers.sp + -registers.sp % word
    for index, value in enumerate(process.memory.words(start, word, count)):
        ip = process.plain_address(value, cpu)
        if process.may_be_module_code(ip - cpu.return_adjustment):
            place = start + index * word
            return caller(cpu, ip=ip, sp=place + word, fp=_frame_pointer(registers, process, place))
    return None


def _frame_pointer(registers: Registers, process: Process, place: int) -> int | None:
    """Return the caller's frame pointer, or None if it is not known.

    ``place`` is where the return address is stored.
    """
    cpu, fp = registers.cpu, registers.fp
    if fp is not None and fp > place:
        # The callee has not changed the frame pointer.
        return fp
    # A function begins by saving the frame pointer right below the return address.
    saved = process.memory.word(place - cpu.word, cpu.word)
    if saved is not None and place < saved < place + _LARGEST_GAP and saved % cpu.word == 0:
        return saved
    return None
