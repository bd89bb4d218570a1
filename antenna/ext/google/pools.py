# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps connections to any host, direct ones and those through the proxies that the environment names."""

import socket
import ssl
from functools import cached_property
from typing import Any

import gevent.ssl
import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from antenna.ext.google.addresses import AddressBook
from antenna.ext.google.connection import PlainConnection, TlsConnection
from antenna.ext.google.proxies import Proxy, proxy_for

# Idle connections to one host that are kept. If more are needed, they are opened, and closed after use.
_MAX_KEPT = 128
# Seconds for which a peer may leave bytes unacknowledged. Then it counts as dead. A working server acknowledges bytes
# within a round trip, even if its answer takes long.
_DEAD_AFTER = 2.5
# Seconds after which the peer of an idle connection is asked for a sign of life, and between two of these questions.
_KEEPALIVE_AFTER = 20
_KEEPALIVE_EVERY = 5
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_USER_TIMEOUT", round(_DEAD_AFTER * 1000)),
            ("TCP_KEEPIDLE", _KEEPALIVE_AFTER),
            ("TCP_KEEPINTVL", _KEEPALIVE_EVERY),
        )
        if hasattr(socket, name)  # Linux has them all
    ),
]


class _TlsContext(gevent.ssl.SSLContext):
    """A TLS context that also closes a connection if its handshake is interrupted."""

    def wrap_socket(self, sock: Any, **options: Any) -> Any:  # type: ignore[override] # urllib3 names the others
        """Return the connection after its handshake. Meanwhile other greenlets go on. Raises ``OSError``."""
        connection = super().wrap_socket(sock, do_handshake_on_connect=False, **options)
        try:
            connection.do_handshake()
        except BaseException:
            connection.close()
            raise
        return connection


class Connections:
    """Opens and keeps connections to any host, directly or through the proxy that the environment names for it."""

    def __init__(self) -> None:
        self._addresses = AddressBook()
        self._managers: dict[tuple[str, Proxy | None], urllib3.PoolManager] = {}

    def manager(self, url: str) -> urllib3.PoolManager:
        """Return the manager that sends requests to ``url``.

        Raises ``BackendConfigurationError`` for an invalid proxy.
        """
        proxy = proxy_for(url)
        key = (url.partition(":")[0], proxy)
        if key not in self._managers:
            self._managers[key] = self._new_manager(*key)
        return self._managers[key]

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send a request. google-auth calls this for tokens."""
        return self.manager(url).request(method, url, **options)

    def clear(self) -> None:
        """Close the idle connections now, and those in use when they are released."""
        for manager in self._managers.values():
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
            manager.clear()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The TLS context of all connections.

        It is shared because loading the certificate authorities takes 45 ms of CPU.
        """
        context: ssl.SSLContext = _TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        return context

    def _new_manager(self, scheme: str, proxy: Proxy | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "maxsize": _MAX_KEPT,
            "retries": False,
            "timeout": None,
            "socket_options": _SOCKET_OPTIONS,
        }
        if scheme == "https" or (proxy is not None and proxy.url.startswith("https:")):
            options["ssl_context"] = self._tls
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        else:
            tls = options.get("ssl_context")
            manager = urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, proxy_ssl_context=tls, **options)
        manager.pool_classes_by_scheme = {
            "http": self._pool_class(HTTPConnectionPool, PlainConnection),
            "https": self._pool_class(HTTPSConnectionPool, TlsConnection),
        }
        return manager

    def _pool_class(
        self, pool: type[HTTPConnectionPool], connection: type[PlainConnection]
    ) -> type[HTTPConnectionPool]:
        """Return a class of pools whose connections share the address book."""
        sharing = type(connection.__name__, (connection,), {"addresses": self._addresses})
        return type(pool.__name__, (pool,), {"ConnectionCls": sharing})
