#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# What a container runs. Usage: bin/entrypoint.sh web | COMMAND [ARGUMENT]...

set -eu

# exec: the server is process 1, and gets the signals.
if [ "$*" = web ]; then
    exec "$(dirname "$0")/run_web.sh"
fi
exec "$@"
