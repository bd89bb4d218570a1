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

. bin/_find_python.sh
python=$(find_python requirements.txt setup falcon gevent gunicorn everett markus)

# exec all the way down: signals reach gunicorn, which finishes what is in flight.
# shellcheck disable=SC2086 # CMD_PREFIX is a command with its arguments.
exec ${CMD_PREFIX:-} "$python" -m gunicorn -c python:antenna.server.conf "$@" antenna.wsgi:application
