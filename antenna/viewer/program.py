# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs the viewer until it is told to stop."""

import gc
import logging
import signal
import sqlite3
import sys

import gevent

from antenna.backend import BackendConfigurationError
from antenna.config import ConfigurationError
from antenna.viewer.app import ViewerApp
from antenna.viewer.index import advice
from antenna.viewer.server import make_server, url_of

# Seconds that the receiver of the webhook has to take the current message after the viewer was told to stop.
_FAREWELL = 3.0


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code, which is 3 if the viewer cannot start."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        app = ViewerApp()
        options = app.options
        server = make_server(options.listen_address, options.port, app)
        try:
            server.start()
        except OSError as error:
            app.close()
            where = f"VIEWER_LISTEN_ADDRESS={options.listen_address} VIEWER_PORT={options.port}"
            sys.stderr.write(f"cannot start the viewer: {where}: cannot listen there: {error.strerror}\n")
            return 3
    except sqlite3.Error as error:
        sys.stderr.write(f"cannot start the viewer: the index in VIEWER_DATA_DIR: {advice(error)}\n")
        return 3
    except (ConfigurationError, BackendConfigurationError, OSError) as error:
        sys.stderr.write(f"cannot start the viewer: {error}\n")
        return 3
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.stop)
    consumer = gevent.spawn(app.consumer.run)
    webhook = None if app.webhook is None else gevent.spawn(app.webhook.run)
    # What has been imported stays, so neither collections of garbage nor the end have to look at it.
    gc.freeze()
    sys.stderr.write(f"Crashes are at {url_of(options.listen_address, options.port)}\n")
    try:
        server.serve_forever()
    finally:
        consumer.kill()
        if app.webhook is not None and webhook is not None:
            app.webhook.stop()
            webhook.join(_FAREWELL)
            webhook.kill()
        app.close()
    return 0
