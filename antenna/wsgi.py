# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the web server imports."""

import logging
import sys

from gunicorn.arbiter import Arbiter

from antenna.app import build_app
from antenna.backend import BackendConfigurationError
from antenna.config import ConfigurationError, build_config
from antenna.logs import log_unhandled_errors
from antenna.sentry import report_startup_error

try:
    application = build_app()
    log_unhandled_errors()
except (ConfigurationError, BackendConfigurationError) as error:
    logging.getLogger("antenna").critical("cannot start: %s", error)
    report_startup_error(build_config(), error)
    # Gunicorn ends the whole server, instead of trying for ever.
    sys.exit(Arbiter.WORKER_BOOT_ERROR)
