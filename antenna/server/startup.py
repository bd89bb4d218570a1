# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The end of a start that did not work."""

import logging
import sys
from typing import NoReturn

from gunicorn.arbiter import Arbiter

from antenna.config import AppConfig, ConfigurationError, build_config
from antenna.ops.logs import set_up_logging
from antenna.ops.sentry import report_startup_error

logger = logging.getLogger(__name__)


def abort_start(error: Exception) -> NoReturn:
    """Say in the log and to Sentry why the collector cannot start, and end the whole server: it is not to go on trying.

    Needs nothing to be set up.
    """
    config = build_config()
    try:
        app_config = AppConfig(config)
    except ConfigurationError:
        app_config = AppConfig(build_config({}))
    set_up_logging(app_config)
    logger.critical("cannot start: %s", error)
    report_startup_error(config, error)
    sys.exit(Arbiter.WORKER_BOOT_ERROR)
