# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Gunicorn's own log records, in the master and in the workers, go where ours go, without what a client sent."""

import sys
from typing import Any

from gunicorn.glogging import Logger

from antenna.config import AppConfig, build_config
from antenna.ops.logs import set_up_logging

# The exit code of a worker that could not start.
_BOOT_ERROR = 3


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn comes without types
    """For gunicorn's setting ``logger_class``."""

    def setup(self, cfg: Any) -> None:
        """Gunicorn calls this at start, and again in the master on SIGHUP."""
        super().setup(cfg)
        set_up_logging(AppConfig(build_config()))

    def warning(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log a warning; of an invalid request only what kind of invalid, not the client's address and bytes."""
        if msg.startswith("Invalid request from ip="):
            super().warning("Invalid request: %s", type(sys.exception()).__name__)
        else:
            super().warning(msg, *args, **kwargs)

    def error(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log an error, unless it is one more line about a start that failed: a record of ours has said why."""
        is_repeated = msg.startswith(("Shutting down", "Reason")) or (
            msg.startswith("Worker (pid") and _BOOT_ERROR in args
        )
        (super().info if is_repeated else super().error)(msg, *args, **kwargs)

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log an error with its traceback, but without the URI, whose query string is the client's."""
        if msg.startswith("Error handling request"):
            super().exception("Error handling request")
        else:
            super().exception(msg, *args, **kwargs)
