# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the proxy for a request in the environment.

``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in upper or lower case, have the same meaning as for
curl and for Google's own clients. ``NO_PROXY`` may name hosts, which include the domains below them, ports, and
networks (``10.0.0.0/8``).
"""

import base64
import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

import urllib3.util
from urllib3.exceptions import LocationParseError

from antenna.backend import BackendConfigurationError

# The metadata server of Google's machines answers on the machine itself. No proxy reaches it.
_METADATA_HOSTS = frozenset({"metadata.google.internal", "metadata", "169.254.169.254"})
_METADATA_VARIABLES = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. ``url`` can be logged, since the user and the password are only in ``headers``."""

    url: str
    authorization: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the proxy gets with each request, or when a tunnel is opened."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to ``url``, or None if they are sent directly.

    Raises ``BackendConfigurationError`` if the proxy cannot be used.
    """
    target = urlsplit(url)
    proxies = getproxies_environment()
    variable = target.scheme if proxies.get(target.scheme) else "all"
    host = (target.hostname or "").rstrip(".")
    if not proxies.get(variable) or _is_metadata_server(host):
        return None
    if _is_excepted(host, target.port or _DEFAULT_PORTS[target.scheme], proxies.get("no", "")):
        return None
    return _parse_proxy(f"{variable.upper()}_PROXY", proxies[variable])


def _parse_proxy(variable: str, value: str) -> Proxy:
    try:
        parsed = urllib3.util.parse_url(value if "://" in value else f"http://{value}")
    except LocationParseError:
        parsed = urllib3.util.Url()
    if parsed.scheme not in _DEFAULT_PORTS or not parsed.host:
        # The message does not show the value, which may have a password.
        raise BackendConfigurationError(f"{variable}: expected http://HOST:PORT or https://HOST:PORT of a proxy")
    authorization = None
    if parsed.auth is not None:
        # RFC 7617 demands a colon, even if only a user is named.
        user, _, password = parsed.auth.partition(":")
        credentials = f"{unquote(user)}:{unquote(password)}".encode()
        authorization = f"Basic {base64.b64encode(credentials).decode('ascii')}"
    port = parsed.port or _DEFAULT_PORTS[parsed.scheme]
    return Proxy(f"{parsed.scheme}://{parsed.host}:{port}", authorization)


def _is_metadata_server(host: str) -> bool:
    own = {
        os.environ[name].rpartition("://")[2].partition(":")[0] for name in _METADATA_VARIABLES if name in os.environ
    }
    return host in _METADATA_HOSTS or host in own


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` names a host: by ``*``, its name, a domain above it, its address or its network."""
    for entry in re.split(r"[,\s]+", exceptions.lower()):
        network = _network(entry.strip("[]"))
        if network is not None:
            if _is_in(host, network):
                return True
            continue
        name, _, its_port = entry.rpartition(":") if re.search(r":\d+$", entry) else (entry, "", str(port))
        name = name.strip("[]").removeprefix("*.").strip(".")
        if its_port == str(port) and (entry == "*" or (name and (host == name or host.endswith(f".{name}")))):
            return True
    return False


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
