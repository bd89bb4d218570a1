# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Names in the environment that look like options and are none: a setting that is misspelt is no setting."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

# What only options of ours begin with.
_PREFIXES = ("BREAKPAD_", "CRASHMOVER_", "GUNICORN_", "STATSD_", "METRICS_", "ADMIN_")
#: Options of the classes that come with the collector. Set for one class while another is used, they are no mistakes.
OF_OUR_CLASSES = {
    "CRASHMOVER_CRASHPUBLISH_FS_ROOT",
    "CRASHMOVER_CRASHPUBLISH_PROJECT_ID",
    "CRASHMOVER_CRASHPUBLISH_TIMEOUT",
    "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME",
    "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME",
    "CRASHMOVER_CRASHSTORAGE_FS_ROOT",
    "CRASHMOVER_CRASHSTORAGE_KEEP",
}
# Gunicorn reads the first, and tells itself the others when a server replaces another one.
_GUNICORNS = {"GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD"}
# What Kubernetes and Docker set for each service or linked container, whatever that is called.
_SERVICE_LINKS = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|\w+_ENV_\w+|\w+_PORT|\w+_NAME"
)
_LINK = re.compile(r"(tcp|udp|sctp)://|/[\w.-]+/[\w.-]+$")
# How alike a name has to be to count as a misspelt one, from 0 to 1: with and without one of our prefixes.
_ALIKE = 0.72
_VERY_ALIKE = 0.87
# Shorter names are alike too soon.
_SHORTEST = 8


def unknown_names(environ: Mapping[str, str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that look like options of ours and are none, each with the option that is meant, or nothing.

    ``known`` are the names of the options that are read.
    """
    known = {*known, *OF_OUR_CLASSES}
    for name, value in sorted(environ.items()):
        if name in known or name in _GUNICORNS or not value or _is_service_link(name, value):
            continue
        is_ours = name.upper().startswith(_PREFIXES)
        if is_ours or (name.isupper() and len(name) >= _SHORTEST):
            alike = get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE if is_ours else _VERY_ALIKE)
            if is_ours or alike:
                yield name, alike[0] if alike else ""


def describe_unknown(name: str, meant: str) -> str:
    """Say that a variable is no option."""
    hint = f": did you mean {meant}?" if meant else ""
    return f"{name} is set, and there is no such option{hint}"


def _is_service_link(name: str, value: str) -> bool:
    match = _SERVICE_LINKS.fullmatch(name)
    if match is None:
        return False
    # A name that only ends like that of a link has to have the value of one as well.
    return not name.endswith(("_PORT", "_NAME")) or bool(_LINK.match(value)) or "_SERVICE_PORT" in name
