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

. bin/_find_python.sh
python=$(find_python requirements-viewer.txt viewer falcon gevent everett jinja2 symbolic siggen)

exec "$python" -m antenna.viewer
