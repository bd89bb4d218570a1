# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds variables in the environment that look like options but are not, because a misspelt option has no effect."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

# Prefixes that only our options have.
_PREFIXES = ("BREAKPAD_", "CRASHMOVER_", "GUNICORN_", "STATSD_", "METRICS_", "ADMIN_")
#: Options of all classes that come with the collector. It is no mistake if one is set for a class that is not in use.
OF_OUR_CLASSES = {
    "CRASHMOVER_CRASHPUBLISH_FS_ROOT",
    "CRASHMOVER_CRASHPUBLISH_PROJECT_ID",
    "CRASHMOVER_CRASHPUBLISH_TIMEOUT",
    "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME",
    "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME",
    "CRASHMOVER_CRASHSTORAGE_FS_ROOT",
}
# Variables of gunicorn. It reads the first, and sets the others when one server replaces another.
_GUNICORNS = {"GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD"}
# Names that Kubernetes and Docker set for each service or linked container, whatever it is called.
_SERVICE_LINKS = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|\w+_ENV_\w+|\w+_PORT|\w+_NAME"
)
_LINK = re.compile(r"(tcp|udp|sctp)://|/[\w.-]+/[\w.-]+$")
# How similar a name must be to an option, from 0 to 1 as ``difflib`` measures it, to count as a misspelt one. A name
# without one of our prefixes must be more similar, because it may belong to another program.
_ALIKE = 0.72
_VERY_ALIKE = 0.87
# Characters. Shorter names are too easily similar to an option.
_SHORTEST = 8


def unknown_names(
    environ: Mapping[str, str], known: Collection[str], more_prefixes: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the variables that look like options but are not, each with the option that is probably meant, or "".

    ``known`` has the names of the options that are read. ``more_prefixes`` are prefixes that only options of a program
    other than the collector have, such as the viewer.
    """
    known = {*known, *OF_OUR_CLASSES}
    for name, value in sorted(environ.items()):
        if name in known or name in _GUNICORNS or not value or _is_service_link(name, value):
            continue
        is_ours = name.upper().startswith((*_PREFIXES, *more_prefixes))
        if is_ours or (name.isupper() and len(name) >= _SHORTEST):
            alike = get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE if is_ours else _VERY_ALIKE)
            if is_ours or alike:
                yield name, alike[0] if alike else ""


def describe_unknown(name: str, meant: str) -> str:
    """Return a sentence that says that a variable is not an option."""
    hint = f": did you mean {meant}?" if meant else ""
    return f"{name} is set, and there is no such option{hint}"


def _is_service_link(name: str, value: str) -> bool:
    match = _SERVICE_LINKS.fullmatch(name)
    if match is None:
        return False
    # If only the end of the name is like that of a link, the value must be that of a link as well.
    return not name.endswith(("_PORT", "_NAME")) or bool(_LINK.match(value)) or "_SERVICE_PORT" in name
