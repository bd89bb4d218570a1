# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The end of a start that did not work."""

import logging
import sys
from typing import NoReturn

from gunicorn.arbiter import Arbiter

from antenna.backend import BackendConfigurationError, BackendError
from antenna.config import AppConfig, ConfigurationError, build_config
from antenna.ops.logs import set_up_logging
from antenna.ops.sentry import report_startup_error

logger = logging.getLogger(__name__)


# What a start raises that an operator can mend: the message says it all.
_EXPECTED = (ConfigurationError, BackendConfigurationError, BackendError)


def abort_start(error: Exception) -> NoReturn:
    """Say in the log and to Sentry why the collector cannot start, and end the whole server: it is not to go on trying.

    Needs nothing to be set up. An error that is not expected, such as one of a backend's own code, has its traceback in
    the record.
    """
    config = build_config()
    try:
        app_config = AppConfig(config)
    except ConfigurationError:
        app_config = AppConfig(build_config({}))
    set_up_logging(app_config)
    if isinstance(error, _EXPECTED):
        logger.critical("cannot start: %s", error)
    else:
        logger.critical("cannot start: %s: %s", type(error).__name__, error, exc_info=error)
    report_startup_error(config, error)
    sys.exit(Arbiter.WORKER_BOOT_ERROR)
