# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes CONTEXT structures with each register at its documented offset. The code of the reader is not used."""

from struct import pack_into

# The size, the place and the value of the flags, and the offset of each register. A 64-bit register has 8 bytes.
X86_OFFSETS = {
    "gs": 140, "fs": 144, "es": 148, "ds": 152, "edi": 156, "esi": 160, "ebx": 164, "edx": 168, "ecx": 172,
    "eax": 176, "ebp": 180, "eip": 184, "cs": 188, "eflags": 192, "esp": 196, "ss": 200,
}  # fmt: skip
AMD64_OFFSETS = {
    "rax": 120, "rcx": 128, "rdx": 136, "rbx": 144, "rsp": 152, "rbp": 160, "rsi": 168, "rdi": 176, "r8": 184,
    "r9": 192, "r10": 200, "r11": 208, "r12": 216, "r13": 224, "r14": 232, "r15": 240, "rip": 248,
}  # fmt: skip
ARM_OFFSETS = {**{f"r{number}": 4 + 4 * number for number in range(13)}, "sp": 56, "lr": 60, "pc": 64, "cpsr": 68}
ARM64_OFFSETS = {**{f"x{number}": 8 + 8 * number for number in range(31)}, "sp": 256, "pc": 264}
# For each kind of context: its bytes, offset and format of the flags, the flags, format of a register, offsets.
LAYOUTS = {
    "x86": (716, 0, "<I", 0x1003F, "<I", X86_OFFSETS),
    "amd64": (1232, 48, "<I", 0x10001F, "<Q", AMD64_OFFSETS),
    "arm": (368, 0, "<I", 0x40000006, "<I", ARM_OFFSETS),
    "arm-windows": (416, 0, "<I", 0x20000F, "<I", ARM_OFFSETS),
    "arm64": (912, 0, "<I", 0x400007, "<Q", ARM64_OFFSETS),
    "arm64-old": (796, 0, "<Q", 0x80000006, "<Q", ARM64_OFFSETS),
}


def context(kind: str, registers: dict[str, int]) -> bytes:
    """Return a context of a kind with some registers. All other registers are 0."""
    size, flags_offset, flags_format, flags, register_format, offsets = LAYOUTS[kind]
    content = bytearray(size)
    pack_into(flags_format, content, flags_offset, flags)
    for name, value in registers.items():
        pack_into(register_format, content, offsets[name], value)
    return bytes(content)
