# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Builds the application: configuration, logging, Sentry, metrics, components and routes."""

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import falcon

from antenna.backend import Problem
from antenna.breakpad_resource import BreakpadSubmitterResource
from antenna.config import (
    AppConfig,
    ConfigManager,
    WebServerConfig,
    build_config,
    collect_options,
    describe_unknown,
    removed_options,
    service_links,
    unknown_names,
)
from antenna.crashmover import CrashMover
from antenna.health_resource import (
    BrokenResource,
    HealthCheck,
    HeartbeatResource,
    LBHeartbeatResource,
    ReadyResource,
    VersionResource,
)
from antenna.metrics_resource import MetricsResource
from antenna.ops.accounts import count_astray, count_request
from antenna.ops.instance import BACKENDS, Instance, Row
from antenna.ops.logs import set_up_logging
from antenna.ops.metrics import set_up_metrics
from antenna.ops.prometheus import exposition
from antenna.ops.request_id import begin_request
from antenna.ops.version import read_version
from antenna.ops.watch import Watch, Watched
from antenna.refusal import Outcome
from antenna.server.early_answer import answer_early, send_in_one_piece
from antenna.server.framed_body import body_of
from antenna.shared_file import find_shared_file
from antenna.throttler import Throttler

logger = logging.getLogger(__name__)

SUBMIT = "/submit"
METRICS = "/metrics"


class AntennaApp(falcon.App[falcon.Request, falcon.Response]):
    """The WSGI application with its components. The server starts and stops them."""

    def __init__(
        self,
        app_config: AppConfig,
        config: ConfigManager,
        shared_file: int | None = None,
        instance: Instance | None = None,
    ) -> None:
        """Build the components and the routes. Raises ``ConfigurationError`` and ``BackendConfigurationError``.

        ``shared_file`` is the descriptor of the file that all workers share, see ``antenna.shared_file``. ``instance``
        is the table in which metrics are added up.
        """
        super().__init__()
        self._own_paths: set[str] = set()
        #: The table of the instance's state, which workers share. It belongs to this process alone until ``join`` is
        #: called.
        self.instance = instance or Instance(workers=1)
        breakpad = config.with_namespace("breakpad")
        self.crashmover = CrashMover(config.with_namespace("crashmover"), self.instance)
        self.throttler = throttler = Throttler(breakpad.with_namespace("throttler"), shared_file=shared_file)
        submit = BreakpadSubmitterResource(breakpad, throttler, self.crashmover, self.instance)
        self._submit = submit
        mover = self.crashmover
        reader = submit.payload_reader
        web_server = WebServerConfig(config)
        self._admin_port = str(web_server.admin_port or "")
        parts = [part.config for part in (app_config, web_server, submit, reader, reader.limits, throttler)]
        # In the local environment a person reads the log, and would search for the crashes among 50 lines of options.
        level = logging.DEBUG if app_config.local_dev_env else logging.INFO
        self.option_names = _log_options([*parts, *mover.components()], level)
        self._admin: falcon.App[falcon.Request, falcon.Response] = falcon.App()
        for app in (self, self._admin):
            app.add_error_handler(Exception, _answer_error)
            app.add_error_handler(falcon.HTTPBadRequest, _answer_unknown_method)
            app.set_error_serializer(_answer_without_text)
        self.add_route(SUBMIT, submit)
        checks = _checks(submit, mover, throttler)
        version = read_version(app_config.basedir)
        self._watch = Watch(self.instance, _watched(submit, mover, checks, version))
        for path, resource in (
            ("/__lbheartbeat__", LBHeartbeatResource()),
            ("/__heartbeat__", HeartbeatResource(list(checks.values()), self.instance, self._rules)),
            ("/__version__", VersionResource(version)),
            ("/__ready__", ReadyResource(lambda: mover.could_keep_a_crash)),
            ("/__broken__", BrokenResource()),
        ):
            self.add_route(path, resource)
            self._admin.add_route(path, resource)
        if web_server.admin_port:
            self._admin.add_route(METRICS, MetricsResource(exposition(self.instance)))

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request. WSGI servers call this."""
        begin_request(env.get("HTTP_X_REQUEST_ID"))
        body = body_of(env)
        is_admin = env["SERVER_PORT"] == self._admin_port
        answer = self._admin(env, start_response) if is_admin else super().__call__(env, start_response)
        if (outcome := self._outcome_elsewhere(env, is_admin=is_admin)) is not None:
            count_request(outcome)
            self._note_astray(env, outcome)
        send_in_one_piece(body, env["REQUEST_METHOD"], answer)
        return answer_early(body, answer)

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """Add a route. Requests to its path do not count as ``not_found``."""
        self._own_paths.add(uri_template)
        super().add_route(uri_template, resource, **options)

    def _outcome_elsewhere(self, env: dict[str, Any], *, is_admin: bool) -> Outcome | None:
        """Return how a request ended that was not a POST of a crash.

        It is None for a POST, and for our own GET routes.
        """
        path, method = env["PATH_INFO"], env["REQUEST_METHOD"]
        if path == SUBMIT:
            if is_admin:
                return Outcome.NOT_FOUND
            return None if method == "POST" else Outcome.METHOD
        if path in self._own_paths or (is_admin and path == METRICS):
            return None if method in ("GET", "HEAD") else Outcome.METHOD
        return Outcome.NOT_FOUND

    def _rules(self) -> dict[str, str]:
        """Return the name and the hash of the rules that decide, for the heartbeat."""
        return {"name": self.throttler.policy.name, "sha256": self.throttler.policy.digest}

    def _note_astray(self, env: dict[str, Any], outcome: Outcome) -> None:
        """Count a request that may be a crash report at a wrong path or with a wrong method.

        The first POST to a wrong path is logged. The path is not, since a client chose it.
        """
        if outcome is Outcome.METHOD:
            if env["PATH_INFO"] == SUBMIT:
                count_astray("method")
            return
        if env["REQUEST_METHOD"] != "POST":
            return
        if env.get("CONTENT_TYPE", "").lstrip().lower().startswith("multipart/"):
            count_astray("path")
        if self.instance.changes("wrong_path", holds=True):
            extra = {"event": "wrong_path", "outcome": outcome.tag, "tell_sentry": True}
            logger.warning("a POST came to a path where no crashes are taken: they are lost", extra=extra)

    def verify(self) -> list[Problem]:
        """Check at the first start that crashes can be saved and published.

        With a spool, returns what is wrong with the backends. Raises ``ConfigurationError``, and without a spool
        ``BackendConfigurationError`` if only an operator can mend the fault, ``BackendError`` if a backend is away.
        """
        return self.crashmover.verify()

    def assume(self, problems: Iterable[Problem]) -> None:
        """Make the backends DOWN in which ``verify``, in another process, has found ``problems``."""
        self.crashmover.backends.assume(problems)

    def join(self, instance: Instance, row: Row) -> None:
        """Make this process a worker of ``instance``. ``row`` is its row in the table that the workers share."""
        self.instance.join(instance, row)

    def start(self) -> None:
        """Start the work in the background. Call this once, in the process that serves."""
        self.crashmover.start()
        self.throttler.start()
        self._watch.start()

    def stop(self, seconds: float) -> None:
        """End the work in the background, within ``seconds``."""
        self._watch.stop()
        self.crashmover.stop(seconds)
        self._submit.floods.sum_up()


def build_app(environ: dict[str, str] | None = None) -> AntennaApp:
    """Build the application from environment variables (default: those of the process)."""
    config = build_config(environ)
    app_config = AppConfig(config)
    set_up_logging(app_config)
    if app_config.secret_sentry_dsn:
        from antenna.ops.sentry import set_up_sentry  # noqa: PLC0415 - this takes 70 ms and 4 MiB

        set_up_sentry(app_config)
    # Metrics for Prometheus are only on ADMIN_PORT. Without that port they are not added up.
    instance = Instance(workers=1)
    set_up_metrics(app_config, instance if WebServerConfig(config).admin_port else None)
    environ = dict(os.environ) if environ is None else environ
    removed = dict(removed_options(environ))
    for name, instead in removed.items():
        logger.warning("%s is set, and there is no such option any more: %s", name, instead)
    app = AntennaApp(app_config, config, find_shared_file(environ), instance)
    for name, meant in unknown_names(environ, {*app.option_names, *removed}):
        logger.warning("%s", describe_unknown(name, meant))
    for name, value in service_links(environ, app.option_names):
        logger.warning("%s=%s is ignored: Kubernetes sets it for a service of that name", name, value)
    return app


def _log_options(parts: Iterable[ConfigManager], level: int) -> list[str]:
    """Log the options of these parts with their values. Returns the names of the options."""
    options = [option for part in parts for option in collect_options(part)]
    for name, value in options:
        logger.log(level, "configuration: %s=%s", name, value)
    return [name for name, _ in options]


def _checks(submit: BreakpadSubmitterResource, mover: CrashMover, throttler: Throttler) -> dict[str, HealthCheck]:
    """Return the checks of the heartbeat by their names."""
    # A storage that keeps nothing was chosen on purpose, so it is not an error.
    is_warning = {"storage": not mover.keeps_crashes}
    checks = [
        HealthCheck(name, check, is_warning=is_warning.get(name, False))
        for name, check in mover.health_checks().items()
    ]
    checks.append(HealthCheck("temporary_files", submit.payload_reader.check_temporary_files))
    if mover.writer is not None:
        checks.append(HealthCheck("set_aside", mover.writer.check_set_aside, is_warning=True))
    checks.append(HealthCheck("rules", throttler.check_rules, is_warning=True))
    return {check.name: check for check in checks}


def _watched(
    submit: BreakpadSubmitterResource, mover: CrashMover, checks: dict[str, HealthCheck], version: dict[str, Any]
) -> Watched:
    """Return the functions by which the watch observes the collector."""
    space, writer = submit.payload_reader.temporary_space, mover.writer
    probes = {"temp": lambda: submit.note_temporary_files(checks["temporary_files"].error())}
    if writer is not None:
        probes["spool"] = lambda: writer.probed(checks["spool"].error())
    return Watched(
        is_down={backend: partial(mover.backends.finds_down, backend) for backend in BACKENDS},
        look_after=mover.backends.look_after,
        probes=probes,
        spool=None if writer is None else writer.state,
        temporary_files=lambda: (space.size, space.max_size),
        build={key: str(version.get(key) or "none")[:40] for key in ("version", "commit")},
    )


def _answer_error(_: falcon.Request, resp: falcon.Response, error: Exception, __: dict[str, Any]) -> None:
    """Answer an error in the collector, and log it, which tells Sentry. Falcon itself answers 404, 405 and the like."""
    logger.error("unhandled error", exc_info=error)
    resp.status = falcon.HTTP_INTERNAL_SERVER_ERROR
    resp.content_type = "text/plain"
    resp.text = ""


def _answer_without_text(_: falcon.Request, resp: falcon.Response, __: falcon.HTTPError) -> None:
    """Answer 404, 405 and the like as plain text, like all other answers. Falcon would answer in JSON."""
    resp.content_type = "text/plain"
    resp.text = ""


def _answer_unknown_method(req: falcon.Request, resp: falcon.Response, _: Exception, __: dict[str, Any]) -> None:
    """Answer a method that Falcon does not know with 405, like other methods that are not allowed.

    Falcon would say 400.
    """
    resp.status = falcon.HTTP_METHOD_NOT_ALLOWED
    resp.set_header("Allow", "POST" if req.path == SUBMIT else "GET")
    resp.content_type = "text/plain"
    resp.text = ""
