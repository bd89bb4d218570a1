# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What platforms put into the environment: values that are not ours, and white space around those that are.

Kubernetes sets ``STATSD_PORT=tcp://10.0.0.1:8125`` in every pod of a namespace that has a service called statsd, unless
the pod has ``enableServiceLinks: false``. Docker did the same for linked containers. Secrets and names that were made
with ``echo`` end in a line break, which no header and no host name can hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping

_SERVICE_LINK = re.compile(r"(?:tcp|udp|sctp)://[^/\s]+:\d+", re.IGNORECASE)

# Variables that libraries read on their own.
_OF_LIBRARIES = ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST")


def option_values(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be options: those with a value of their own, without white space around it."""
    # Names are upper case: a "port" that something else left in the environment is not our PORT.
    stripped = {name: value.strip() for name, value in environ.items() if name.isupper()}
    return {name: value for name, value in stripped.items() if value and not _SERVICE_LINK.fullmatch(value)}


def service_links(environ: Mapping[str, str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield those of ``names`` that have the value of a service link, each with the value."""
    for name in names:
        value = environ.get(name, "").strip()
        if _SERVICE_LINK.fullmatch(value):
            yield name, value


def strip_library_variables(environ: MutableMapping[str, str]) -> None:
    """Take white space off the ends of what libraries read from the environment on their own."""
    for name in _OF_LIBRARIES:
        if name in environ:
            environ[name] = environ[name].strip()
