#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# Starts the viewer from the environment alone. Usage: bin/run_viewer.sh
#
# Its storage is that of the collector's environment variables, CRASHMOVER_CRASHSTORAGE_CLASS and so on.
# It runs with the Python environment that is active, or else with the Makefile's .venv.

set -eu

cd "$(dirname "$0")/.."

has_requirements() {
    "$1" -c 'import sys
from importlib.util import find_spec
sys.exit(not all(find_spec(name) for name in ("falcon", "gevent", "everett", "jinja2", "symbolic", "siggen")))' 2>/dev/null
}

find_python() {
    for python in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" python3 python .venv/bin/python; do
        if [ -n "$python" ] && has_requirements "$python"; then
            echo "$python"
            return
        fi
    done
    echo "$0: no Python with the packages of requirements-viewer.txt: activate one, or let 'make viewer' make .venv" >&2
    return 1
}

python=$(find_python)

exec "$python" -m antenna.viewer
