# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Ends a start that has failed."""

import logging
import sys
from typing import NoReturn

from gunicorn.arbiter import Arbiter

from antenna.backend import BackendFailure
from antenna.config import AppConfig, ConfigurationError, build_config
from antenna.ops.errors import describe
from antenna.ops.logs import set_up_logging

logger = logging.getLogger(__name__)


def abort_start(error: Exception) -> NoReturn:
    """Log why the collector cannot start, tell Sentry, and end the whole server, so that gunicorn does not try again.

    Nothing needs to be set up before. If the error is not one that an operator can mend, such as an error in the code
    of a backend, the record has its traceback.
    """
    config = build_config()
    try:
        app_config = AppConfig(config)
    except ConfigurationError:
        app_config = AppConfig(build_config({}))
    set_up_logging(app_config)
    if isinstance(error, ConfigurationError):
        logger.critical("cannot start: %s", error)
    elif isinstance(error, BackendFailure):
        logger.critical("cannot start: %s", describe(error))
    else:
        logger.critical("cannot start: %s", describe(error), exc_info=error)
    from antenna.ops.sentry import report_startup_error  # noqa: PLC0415 - a start that succeeds does not pay for it

    report_startup_error(config, error)
    sys.exit(Arbiter.WORKER_BOOT_ERROR)
