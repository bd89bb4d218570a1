# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The words that Linux leaves on the stack before it calls the handler of a signal."""

from struct import pack_into


def amd64_frame(*, ip: int, sp: int, cs: int = 0x33, fpu: int = 0) -> bytearray:
    """Return the words at the stack pointer when a handler has returned. The signal interrupted the code at ``ip``."""
    frame = bytearray(600)
    pack_into("<Q", frame, 0, 0x7)  # uc_flags
    pack_into("<QQ", frame, 160, sp, ip)
    pack_into("<Q", frame, 120, sp + 16)  # rbp
    pack_into("<HHHH", frame, 184, cs, 0, 0, 0x2B)
    pack_into("<Q", frame, 224, fpu)
    return frame


def arm64_frame(*, ip: int, sp: int, lr: int, magic: int = 0x46508001) -> bytearray:
    """Return the same words for arm64."""
    frame = bytearray(1200)
    pack_into("<Q", frame, 312 + 8 * 29, sp + 16)  # x29
    pack_into("<Q", frame, 312 + 8 * 30, lr)  # x30
    pack_into("<QQ", frame, 560, sp, ip)
    pack_into("<II", frame, 592, magic, 528)
    return frame
