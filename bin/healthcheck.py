# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The HEALTHCHECK of the images. It exits with 0 if the collector, or with the argument "viewer" the viewer, serves.

It checks nothing else, because an outage of the storage is no reason to restart a collector that spools.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException


def serves(host: str, port: int, timeout: float = 4.0) -> bool:
    """Whether ``/__lbheartbeat__`` on this machine answers with 200 within ``timeout`` seconds."""
    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/__lbheartbeat__")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def configured_port(environ: Mapping[str, str], names: Sequence[str] = ("ADMIN_PORT", "PORT")) -> int:
    """Return the port to ask: that of the first of the variables ``names`` that is a number.

    It is 8000 if none is, for example because PORT is ``tcp://10.0.0.1:80`` from Kubernetes.
    """
    ports = [environ.get(name, "").strip() for name in names]
    return next((int(port) for port in ports if port.isdecimal()), 8000)


def configured_hosts(environ: Mapping[str, str], name: str = "LISTEN_ADDRESS") -> tuple[str, ...]:
    """Return the addresses to ask: that of the variable ``name``, or those of this machine if it is not set."""
    host = environ.get(name, "").strip().removeprefix("[").removesuffix("]")
    if not host:
        return "127.0.0.1", "::1"
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),)  # noqa: S104 - nothing listens here


if __name__ == "__main__":
    if sys.argv[1:] == ["viewer"]:
        port, hosts = (
            configured_port(os.environ, ["VIEWER_PORT"]),
            configured_hosts(os.environ, "VIEWER_LISTEN_ADDRESS"),
        )
    else:
        port, hosts = configured_port(os.environ), configured_hosts(os.environ)
    sys.exit(0 if any(serves(host, port) for host in hosts) else 1)
