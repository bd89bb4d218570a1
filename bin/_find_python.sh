# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# shellcheck shell=sh
# The scripts that start the servers source this file, in the directory of the checkout.

# Print the first Python that has the modules: that of the active environment, of PATH, or of the Makefile's .venv.
# Usage: find_python REQUIREMENTS_FILE MAKE_TARGET MODULE...
find_python() {
    requirements=$1
    target=$2
    shift 2
    for python in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" python3 python .venv/bin/python; do
        if [ -n "$python" ] && has_modules "$python" "$@"; then
            echo "$python"
            return
        fi
    done
    echo "$0: no Python with the packages of $requirements: activate one, or let 'make $target' make .venv" >&2
    return 1
}

has_modules() {
    "$1" -c 'import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, sys.argv[2:])))' "$@" 2>/dev/null
}
