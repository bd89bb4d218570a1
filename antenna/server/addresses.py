# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The addresses that the server listens on: those of the option LISTEN_ADDRESS, or all of IPv4 and IPv6.

IPv4 and IPv6 have a socket each. On most systems one socket could serve both, but that depends on a setting of the
kernel (``net.ipv6.bindv6only``), and some sandboxes cannot do it.
"""

import errno
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any

from gunicorn.sock import TCP6Socket

from antenna.config import ConfigurationError

#: All addresses of the machine, of IPv4 and of IPv6.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - the default of a server in a container

# Seconds that a start waits for an address that is in use, for instance by a collector that is about to end.
_LONGEST_WAIT = 5.0
# Seconds between two attempts to listen on it.
_POLL = 0.1


def addresses_of(listen_address: str) -> list[str]:
    """Return the addresses to listen on, IPv4 first.

    If ``listen_address`` is empty, they are those of the whole machine. If the system has no IPv4 or no IPv6, addresses
    of that family are left out, unless there are no others. Raises ``ConfigurationError`` for a host name without an
    address.
    """
    candidates = _look_up(listen_address) if listen_address else EVERYWHERE
    return [host for host in candidates if _has_family(host)] or list(candidates)


def _look_up(name: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"LISTEN_ADDRESS has a bad value {name!r}: expected an IP address or a name that has one: {error}"
        ) from error
    return sorted({str(address[0]) for *_, address in found}, key=lambda host: (":" in host, host))


def _has_family(host: str) -> bool:
    family = _family(host)
    any_host = "::" if family == socket.AF_INET6 else ""
    error = _problem_of(any_host, 0, family)
    return error is None


def gunicorn_address(host: str, port: int) -> str:
    """Return an address in the form of gunicorn's setting ``bind``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def keep_ipv6_apart() -> None:
    """Make gunicorn's sockets for IPv6 take no IPv4 connections. Call this before gunicorn makes its sockets."""
    TCP6Socket.bind = _bind_ipv6


def _bind_ipv6(gunicorn_socket: Any, listener: socket.socket) -> None:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(gunicorn_socket.cfg_addr)


def wait_until_free(addresses: Iterable[tuple[str, int]], seconds: float = _LONGEST_WAIT) -> None:
    """Wait until the addresses to listen on are free. Raises ``ConfigurationError`` if one of them stays in use.

    Gunicorn checks this as well. But it writes several lines to the log, tells Sentry nothing, and ends with another
    exit code.
    """
    end = time.monotonic() + seconds
    for host, port in addresses:
        while (error := _problem_of(host, port, _family(host))) is not None:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= end:
                hint = "" if error.errno != errno.EADDRINUSE else ": stop what listens there, or set another port"
                raise ConfigurationError(f"cannot listen on {host}, port {port}: {error.strerror}{hint}") from error
            time.sleep(_POLL)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _problem_of(host: str, port: int, family: socket.AddressFamily) -> OSError | None:
    """Return why no socket can listen on an address, or None if one can."""
    try:
        with socket.socket(family) as probe:
            # Gunicorn sets this option, too: lingering connections of an earlier collector do no harm.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None
