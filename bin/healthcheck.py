# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The HEALTHCHECK of the image: exits with 0 if the collector in this container serves.

It asks for nothing else: an outage of the storage is no reason to restart a collector that spools.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException


def serves(port: int, timeout: float = 4.0) -> bool:
    """Whether ``/__lbheartbeat__`` on this machine answers 200 within ``timeout`` seconds."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/__lbheartbeat__")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def configured_port(environ: Mapping[str, str]) -> int:
    """Return the port that the collector listens on: 8000 if PORT is none, as ``tcp://10.0.0.1:80`` of Kubernetes."""
    port = environ.get("PORT", "").strip()
    return int(port) if port.isdecimal() else 8000


if __name__ == "__main__":
    sys.exit(0 if serves(configured_port(os.environ)) else 1)
