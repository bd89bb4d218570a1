# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends gunicorn's own log records to where ours go, in the master and in the workers, without text from clients."""

import sys
from datetime import timedelta
from typing import Any

import markus
from gunicorn.glogging import Logger

from antenna.config import AppConfig, build_config
from antenna.ops.logs import set_up_logging

metrics = markus.get_metrics("gunicorn")

# Exit code of a worker that could not start.
_BOOT_ERROR = 3


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn comes without types
    """The class for gunicorn's setting ``logger_class``."""

    def setup(self, cfg: Any) -> None:
        """Set up logging. Gunicorn calls this at start, and again in the master on SIGHUP."""
        super().setup(cfg)
        app_config = AppConfig(build_config())
        set_up_logging(app_config)
        self._counts = app_config.metrics_mozilla_names

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """Emit the metric of a request for Mozilla's dashboards. There is no access log."""
        if self._counts:
            status = str(resp.status).partition(" ")[0]
            metrics.timing("request.time", request_time / timedelta(milliseconds=1), tags=[f"status:{status}"])

    def critical(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log an error that ends the server."""
        self._count("critical")
        super().critical(msg, *args, **kwargs)

    def _count(self, level: str) -> None:
        if self._counts:
            metrics.incr("log", tags=[f"level:{level}"])

    def warning(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log a warning. If it is about an invalid request, the client's address and bytes are left out."""
        self._count("warning")
        if msg.startswith("Invalid request from ip="):
            super().warning("Invalid request: %s", type(sys.exception()).__name__)
        else:
            super().warning(msg, *args, **kwargs)

    def error(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log an error.

        If it is one more line about a start that failed, log it as info: a record of ours has said why.
        """
        self._count("error")
        is_repeated = msg.startswith(("Shutting down", "Reason")) or (
            msg.startswith("Worker (pid") and _BOOT_ERROR in args
        )
        (super().info if is_repeated else super().error)(msg, *args, **kwargs)

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log an error with its traceback. The URI is left out, because its query string comes from the client."""
        self._count("exception")
        if msg.startswith("Error handling request"):
            super().exception("Error handling request")
        else:
            super().exception(msg, *args, **kwargs)
