# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Connects to hosts that have several addresses, of which some may be dead.

A network that swallows packets to some addresses, as broken IPv6 does, gives no error: a connection attempt hangs until
its time is over. So the next address is tried while the attempts on the earlier ones go on, and the first connection
wins (RFC 8305).
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import gevent
from gevent import socket
from gevent.queue import Empty, SimpleQueue

# Seconds that an attempt is left alone before the next address is tried as well. RFC 8305 section 5 recommends it.
_ATTEMPT_DELAY = 0.25

# Addresses that are remembered. Names such as Google's have hundreds in the course of time.
_MAX_REMEMBERED = 1000

SocketOptions = Sequence[tuple[int, int, int | bytes]]
# What getaddrinfo() returns for one address: family, type, protocol, canonical name, address.
_AddressInfo = tuple[int, int, int, str, Any]


class AddressBook:
    """Opens connections, and remembers which addresses have served and which have not."""

    def __init__(self) -> None:
        # 1: a server has answered there. -1: a connection was made that brought no answer.
        self._experience: dict[Any, int] = {}

    def connect(self, host: str, port: int, options: SocketOptions) -> "socket.socket":
        """Return a connection to the first address of ``host`` that takes one. Raises ``OSError``.

        The socket is gevent's own: it lets other greenlets go on, also in a process that gevent has not patched.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        infos = sorted(_alternate_families(found), key=lambda info: -self._experience.get(info[4], 0))
        if len(infos) == 1:
            return _connect(infos[0], options)
        return _race(infos, options)

    def answered(self, address: Any) -> None:
        """Try ``address`` first from now on."""
        self._remember(address, 1)

    def gave_no_answer(self, address: Any) -> None:
        """Try ``address`` last from now on."""
        self._remember(address, -1)

    def _remember(self, address: Any, experience: int) -> None:
        if len(self._experience) >= _MAX_REMEMBERED:
            self._experience.clear()
        self._experience[address] = experience


def _alternate_families(infos: Sequence[_AddressInfo]) -> list[_AddressInfo]:
    """Return the addresses with those of IPv4 and IPv6 in turns, the preferred family first (RFC 8305 section 4)."""
    preferred = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(preferred, others)) if info is not None]


def _race(infos: Sequence[_AddressInfo], options: SocketOptions) -> "socket.socket":
    """Return the first connection that comes about. Raises the last ``OSError`` if none does."""
    outcomes: SimpleQueue[socket.socket | OSError] = SimpleQueue()
    waiting = deque(infos)
    attempts: list[gevent.Greenlet[..., None]] = []
    failures = 0
    try:
        while True:
            if waiting:
                attempts.append(gevent.spawn(_attempt, waiting.popleft(), options, outcomes))
            try:
                outcome = outcomes.get(timeout=_ATTEMPT_DELAY if waiting else None)
            except Empty:
                continue
            if not isinstance(outcome, OSError):
                return outcome
            failures += 1
            if failures == len(infos):
                raise outcome
    finally:
        gevent.killall(attempts)
        while not outcomes.empty():
            late = outcomes.get()
            if not isinstance(late, OSError):
                late.close()


def _attempt(info: _AddressInfo, options: SocketOptions, outcomes: "SimpleQueue[socket.socket | OSError]") -> None:
    try:
        outcomes.put(_connect(info, options))
    except OSError as error:
        outcomes.put(error)


def _connect(info: _AddressInfo, options: SocketOptions) -> "socket.socket":
    family, kind, protocol, _, address = info
    connection = socket.socket(family, kind, protocol)
    try:
        for option in options:
            connection.setsockopt(*option)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
