# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Removes two things from the environment: variables of the platform, which are no options, and space around values.

Kubernetes sets ``STATSD_PORT=tcp://10.0.0.1:8125`` in every pod of a namespace that has a service called statsd, unless
the pod has ``enableServiceLinks: false``. Docker did the same for linked containers. Secrets and names that were made
with ``echo`` end in a line break, which neither a header nor a host name can have.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping

_SERVICE_LINK = re.compile(r"(?:tcp|udp|sctp)://[^/\s]+:\d+", re.IGNORECASE)

#: Variables that libraries read directly, and not through the configuration.
LIBRARY_VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST")


def option_values(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be options, without white space around their values. Empty ones are left out."""
    # Options have names in upper case. A "port" that another program has left in the environment is not our PORT.
    stripped = {name: value.strip() for name, value in environ.items() if name.isupper()}
    return {name: value for name, value in stripped.items() if value and not _SERVICE_LINK.fullmatch(value)}


def service_links(environ: Mapping[str, str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield those of ``names`` whose value is a service link, with the value."""
    for name in names:
        value = environ.get(name, "").strip()
        if _SERVICE_LINK.fullmatch(value):
            yield name, value


def strip_library_variables(environ: MutableMapping[str, str]) -> None:
    """Remove white space around the values of the variables that libraries read directly."""
    for name in LIBRARY_VARIABLES:
        if name in environ:
            environ[name] = environ[name].strip()
