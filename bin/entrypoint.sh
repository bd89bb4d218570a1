#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# What a container runs.

set -eu

usage() {
    cat >&2 <<END
Usage: $0 web [ARGUMENT]...     start the collector; arguments are gunicorn's
       $0 viewer                start the viewer
       $0 shell [ARGUMENT]...   start a shell
       $0 COMMAND [ARGUMENT]... run a command, such as bin/spool.py summary
END
    exit 1
}

[ $# -gt 0 ] || usage

# exec: the server is process 1, and gets the signals.
case $1 in
    web)
        shift
        exec "$(dirname "$0")/run_web.sh" "$@"
        ;;
    viewer)
        exec "$(dirname "$0")/run_viewer.sh"
        ;;
    shell)
        shift
        if command -v bash >/dev/null; then exec bash "$@"; fi
        exec sh "$@"
        ;;
    *)
        exec "$@"
        ;;
esac
