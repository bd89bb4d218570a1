# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Puts the application together: configuration, logging, Sentry, metrics, components, routes. Nothing else."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from antenna.breakpad_resource import BreakpadSubmitterResource
from antenna.config import AppConfig, ConfigManager, WebServerConfig, build_config, collect_options
from antenna.crashmover.mover import CrashMover
from antenna.health_resource import (
    BrokenResource,
    HeartbeatResource,
    LBHeartbeatResource,
    VersionResource,
)
from antenna.ops.logs import set_up_logging
from antenna.ops.metrics import set_up_metrics
from antenna.ops.sentry import set_up_sentry
from antenna.server.early_answer import end_if_unread, send_in_one_piece
from antenna.spool.spool import Spool
from antenna.throttler import Throttler

logger = logging.getLogger(__name__)


class AntennaApp(falcon.App[falcon.Request, falcon.Response]):
    """The WSGI application, and the components whose life the server looks after."""

    def __init__(self, app_config: AppConfig, config: ConfigManager) -> None:
        """Build the components and the routes. Raises ``ConfigurationError``, ``BackendConfigurationError``."""
        super().__init__()
        breakpad = config.with_namespace("breakpad")
        moving = config.with_namespace("crashmover")
        self.crashmover = CrashMover(moving)
        throttler = Throttler(breakpad.with_namespace("throttler"))
        submit = BreakpadSubmitterResource(breakpad, throttler, self.crashmover)
        mover = self.crashmover
        reader = submit.payload_reader
        for component in (app_config, WebServerConfig(config), submit, reader, reader.limits, throttler, mover):
            _log_options(component.config)
        _log_options(moving.with_options(Spool))  # which the mover has only if they say so
        for backend in (mover.crashstorage, mover.crashpublish):
            _log_options(backend.config)
        self.add_error_handler(Exception, _answer_error)
        self.add_error_handler(falcon.HTTPBadRequest, _answer_unknown_method)
        self.add_route("/submit", submit)
        self.add_route("/__lbheartbeat__", LBHeartbeatResource())
        self.add_route("/__heartbeat__", HeartbeatResource(self.crashmover.health_checks()))
        self.add_route("/__version__", VersionResource(app_config.basedir))
        self.add_route("/__broken__", BrokenResource())

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, as WSGI servers call it."""
        answer = super().__call__(env, start_response)
        send_in_one_piece(env, answer)
        return end_if_unread(env, answer)

    def verify(self) -> None:
        """Prove at the first start that crashes can be saved and published.

        Raises ``ConfigurationError``, ``BackendConfigurationError`` for what only an operator can mend,
        ``BackendError`` for a backend that is away.
        """
        self.crashmover.verify()

    def start(self) -> None:
        """Start the work in the background. To be called in the process that serves, once."""
        self.crashmover.start()

    def stop(self, seconds: float) -> None:
        """End the work in the background, within ``seconds``."""
        self.crashmover.stop(seconds)


def build_app(environ: dict[str, str] | None = None) -> AntennaApp:
    """Build the application from environment variables (default: those of the process)."""
    config = build_config(environ)
    app_config = AppConfig(config)
    set_up_logging(app_config)
    set_up_sentry(app_config)
    set_up_metrics(app_config)
    return AntennaApp(app_config, config)


def _answer_error(_: falcon.Request, resp: falcon.Response, error: Exception, __: dict[str, Any]) -> None:
    """Log an error of ours; Sentry hears of it through the log. Of 404, 405 and the like Falcon takes care."""
    logger.error("unhandled error", exc_info=error)
    resp.status = falcon.HTTP_INTERNAL_SERVER_ERROR
    resp.content_type = "text/plain"
    resp.text = ""


def _answer_unknown_method(req: falcon.Request, resp: falcon.Response, _: Exception, __: dict[str, Any]) -> None:
    """Answer a method that Falcon does not know, which it calls a bad request, like others that are not allowed."""
    resp.status = falcon.HTTP_METHOD_NOT_ALLOWED
    resp.set_header("Allow", "POST" if req.path == "/submit" else "GET")
    resp.content_type = "text/plain"
    resp.text = ""


def _log_options(config: Any) -> None:
    for name, value in collect_options(config):
        logger.info("configuration: %s=%s", name, value)
