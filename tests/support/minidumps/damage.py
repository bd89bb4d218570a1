# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Damages dumps as a bad disk or an attacker would: cuts them short and changes bytes."""

import random
from collections.abc import Iterator

# Values that break arithmetic on offsets, counts and lengths.
_TELLING = (0, 1, 2, 4, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, 0xFFFF)


def mutations(content: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """Yield damaged copies. The same seed gives the same copies."""
    generator = random.Random(seed)
    for _ in range(count):
        yield mutate(content, generator)


def mutate(content: bytes, generator: random.Random) -> bytes:
    """Return a copy with one to eight changes, and perhaps without its end."""
    damaged = bytearray(content)
    for _ in range(generator.randint(1, 8)):
        place = generator.randrange(len(damaged))
        kind = generator.randrange(5)
        if kind == 0:
            damaged[place] = generator.randrange(256)
        elif kind == 1:
            damaged[place] ^= 1 << generator.randrange(8)
        elif kind == 2:
            place -= place % 4
            damaged[place : place + 4] = generator.choice(_TELLING).to_bytes(4, "little")
        elif kind == 3:
            place -= place % 4
            damaged[place : place + 4] = generator.randrange(len(content) + 16).to_bytes(4, "little")
        else:
            source = generator.randrange(len(damaged))
            piece = damaged[source : source + generator.randint(1, 64)]
            damaged[place : place + len(piece)] = piece
    if generator.randrange(8) == 0:
        del damaged[generator.randrange(1, len(damaged)) :]
    return bytes(damaged)
