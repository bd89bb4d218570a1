#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# Starts the collector from the environment. Usage: bin/run_web.sh [ARGUMENT]...     Arguments are gunicorn's.
#
# It runs with the Python environment that is active, or else with the Makefile's .venv.
# CMD_PREFIX, if set, is a command to start the server under, such as a profiler.

set -eu

cd "$(dirname "$0")/.."

has_requirements() {
    "$1" -c 'import sys
from importlib.util import find_spec
sys.exit(not all(find_spec(name) for name in ("falcon", "gevent", "gunicorn", "everett", "markus")))' 2>/dev/null
}

find_python() {
    for python in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" python3 python .venv/bin/python; do
        if [ -n "$python" ] && has_requirements "$python"; then
            echo "$python"
            return
        fi
    done
    echo "$0: no Python with the packages of requirements.txt: activate one, or let 'make setup' make .venv" >&2
    return 1
}

python=$(find_python)

# exec all the way down: signals reach gunicorn, which finishes what is in flight.
# shellcheck disable=SC2086 # CMD_PREFIX is a command with its arguments.
exec ${CMD_PREFIX:-} "$python" -m gunicorn -c python:antenna.server.conf "$@" antenna.wsgi:application
