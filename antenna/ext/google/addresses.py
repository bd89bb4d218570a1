# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Connects to a host that has several addresses, some of which may be dead.

Some networks drop packets to some addresses without an error, as with broken IPv6. An attempt to connect then hangs
until its time is over. So the next address is tried while the earlier attempts go on, and the first connection wins
(RFC 8305).
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import gevent
from gevent import socket
from gevent.queue import Empty, SimpleQueue

# Seconds after which the next address is tried while an attempt goes on. RFC 8305 section 5 recommends this value.
_ATTEMPT_DELAY = 0.25

# Addresses that are remembered with their results. Over the years a name such as Google's has hundreds of addresses. If
# there are more, all are forgotten. At worst, the next connection then takes longer.
_MAX_REMEMBERED = 1000

SocketOptions = Sequence[tuple[int, int, int | bytes]]
# One item of the result of getaddrinfo(): family, type, protocol, canonical name, address.
_AddressInfo = tuple[int, int, int, str, Any]


class AddressBook:
    """Opens connections, and remembers which addresses gave an answer and which did not."""

    def __init__(self) -> None:
        # 1 if a server has answered at this address, -1 if a connection was made that brought no answer.
        self._experience: dict[Any, int] = {}

    def connect(self, host: str, port: int, options: SocketOptions) -> "socket.socket":
        """Return a connection to the first address of ``host`` that takes one. Raises ``OSError``.

        The socket is gevent's own, so other greenlets go on even in a process that gevent has not patched.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        infos = sorted(_alternate_families(found), key=lambda info: -self._experience.get(info[4], 0))
        if len(infos) == 1:
            return _connect(infos[0], options)
        return _race(infos, options)

    def answered(self, address: Any) -> None:
        """Record that a server has answered at ``address``. It is tried first from now on."""
        self._remember(address, 1)

    def gave_no_answer(self, address: Any) -> None:
        """Record that a connection to ``address`` brought no answer. It is tried last from now on."""
        self._remember(address, -1)

    def _remember(self, address: Any, experience: int) -> None:
        if len(self._experience) >= _MAX_REMEMBERED:
            self._experience.clear()
        self._experience[address] = experience


def _alternate_families(infos: Sequence[_AddressInfo]) -> list[_AddressInfo]:
    """Return the addresses with IPv4 and IPv6 alternating, the preferred family first (RFC 8305 section 4)."""
    preferred = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(preferred, others)) if info is not None]


def _race(infos: Sequence[_AddressInfo], options: SocketOptions) -> "socket.socket":
    """Return the first connection that is made. If none is made, raise the last ``OSError``."""
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
