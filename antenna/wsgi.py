# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The WSGI application that the web server imports: ``antenna.wsgi:application``."""

from antenna.app import build_app
from antenna.ops.logs import log_unhandled_errors
from antenna.server.startup import abort_start

try:
    application = build_app()
    log_unhandled_errors()
except Exception as error:  # noqa: BLE001 - whatever it is, it ends the start
    abort_start(error)
