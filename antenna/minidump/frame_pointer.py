# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the caller of a frame by the frame pointer.

If code keeps a frame pointer, it points to the caller's frame pointer in memory, and the return address is in the word
above. Much code uses the register for other things. So if it does not point to something that looks like a frame, no
caller is found in this way.
"""

from antenna.minidump.cpu import Registers, caller
from antenna.minidump.process import Process

# If an instruction and a return address are no more than this many bytes apart, they count as in the same function.
_NEAR = 4096
# Largest frame, in bytes. Most arrays on a stack are smaller.
_LARGEST_FRAME = 8 * 1024 * 1024


def unwind(registers: Registers, process: Process, *, is_top: bool, in_chain: bool) -> Registers | None:
    """Return the caller's registers, or None. If there is no caller, the instruction pointer is 0.

    ``is_top`` says that this is the innermost frame, or one that a signal interrupted, for which the link register
    counts. ``in_chain`` says that the frame itself was found in this way, so that its frame pointer certainly is one.
    """
    cpu, word = registers.cpu, registers.cpu.word
    chained = _follow(registers, process, in_chain=in_chain)
    if is_top and registers.lr:
        leaf = _leaf(registers, process, chained)
        if leaf is not None:
            return leaf
    if chained is None:
        return None
    ip, fp, record = chained
    return caller(cpu, ip=ip, sp=record + 2 * word, fp=fp)


def return_at_once(registers: Registers, process: Process) -> Registers | None:
    """Return the caller's registers for the moment right after a call, before the function has done anything."""
    cpu = registers.cpu
    if cpu.lr is not None:
        address, sp = registers.lr, registers.sp
    else:
        address, sp = process.memory.word(registers.sp, cpu.word), registers.sp + cpu.word
    if address is None:
        return None
    address = process.plain_address(address, cpu)
    if not process.may_be_code(address - cpu.return_adjustment):
        return None
    return caller(cpu, ip=address, sp=sp, fp=registers.fp)


def _follow(registers: Registers, process: Process, *, in_chain: bool) -> tuple[int, int, int] | None:
    """Return the return address and the frame pointer of the caller, and the address at which they are stored."""
    cpu, fp, sp = registers.cpu, registers.fp, registers.sp
    if fp is None or fp % cpu.word or not sp <= fp < sp + _LARGEST_FRAME:
        return None
    next_fp = process.memory.word(fp, cpu.word)
    ip = process.memory.word(fp + cpu.word, cpu.word)
    if next_fp is None or ip is None:
        return None
    ip = process.plain_address(ip, cpu)
    if _is_frame_pointer(next_fp, fp, registers, process) and process.may_be_code(ip - cpu.return_adjustment):
        return ip, next_fp, fp
    if not in_chain:
        return None
    if next_fp == 0:
        # A program begins with a frame pointer of 0. The arguments of the program are above it.
        return 0, 0, fp
    # The caller uses the register for something else, so this frame pointer is the last of the chain.
    return (ip, next_fp, fp) if process.may_be_module_code(ip - cpu.return_adjustment) else None


def _is_frame_pointer(next_fp: int, fp: int, registers: Registers, process: Process) -> bool:
    """Whether this can be the caller's frame pointer: further up on the same stack, or 0 for the outermost frame."""
    if next_fp == 0:
        return True
    return (
        next_fp > fp
        and next_fp % registers.cpu.word == 0
        and next_fp - fp < _LARGEST_FRAME
        and process.memory.find(next_fp) is not None
    )


def _leaf(registers: Registers, process: Process, chained: tuple[int, int, int] | None) -> Registers | None:
    """Return the caller by the link register (ARM), for a function that has not saved it in a frame of its own.

    A function with a frame saves the register there. After the function's first call, the register points into the
    function itself, and then says nothing about the caller.
    """
    link = process.plain_address(registers.lr or 0, registers.cpu)
    if chained is not None and chained[0] == link:
        return None
    if not process.may_be_module_code(link - registers.cpu.return_adjustment) or abs(link - registers.ip) < _NEAR:
        return None
    return caller(registers.cpu, ip=link, sp=registers.sp, fp=registers.fp)
