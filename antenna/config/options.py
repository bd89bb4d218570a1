# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The options of the application as a whole, and of the web server."""

import math
import socket
from pathlib import Path

from antenna.config.manager import ConfigManager, ConfigurationError, Option
from antenna.config.parsers import (
    bounded,
    expects,
    one_of,
    parse_bool,
    parse_dsn,
    parse_duration,
    parse_int,
    parse_listen_address,
    parse_metric_prefix,
)


@expects("the path of a directory")
def parse_basedir(text: str) -> Path:
    """Read a path; none stands for the directory that holds the antenna package."""
    return Path(text) if text else Path(__file__).resolve().parents[2]


@expects("text")
def parse_hostname(text: str) -> str:
    """Read a name; none stands for the host name of the machine."""
    return text or socket.gethostname()


@expects("an integer, from 1 to 65535, other than PORT")
def parse_optional_port(text: str) -> int | None:
    """Read a port; an empty text is none."""
    port: int | None = bounded(parse_int, "1", "65535")(text) if text else None
    return port


class AppConfig:
    """The options of the application as a whole."""

    class Config:
        """Options, without a namespace."""

        basedir = Option(
            default="",
            doc="Directory that holds version.json. Not set: the one that holds the antenna package.",
            parser=parse_basedir,
        )
        logging_level = Option(
            default="INFO",
            doc="Log records below this level are dropped. DEBUG applies to the collector, not to its libraries.",
            parser=one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        )
        local_dev_env = Option(
            default="false",
            doc="For development: readable log lines. The configuration and each metric are in the log only if "
            "LOGGING_LEVEL is DEBUG.",
            parser=parse_bool,
        )
        statsd_host = Option(default="", doc="Host of the statsd or Datadog daemon. Not set: no metrics are sent.")
        statsd_port = Option(
            default="8125", doc="UDP port of the statsd daemon.", parser=bounded(parse_int, "1", "65535")
        )
        statsd_namespace = Option(
            default="", doc="Put in front of the name of every metric, with a dot.", parser=parse_metric_prefix
        )
        metrics_mozilla_names = Option(
            default="false",
            doc="Send the metrics of Mozilla's Antenna as well, under its names, for its dashboards.",
            parser=parse_bool,
        )
        secret_sentry_dsn = Option(
            default="", doc="DSN of the Sentry project. Not set: no errors are reported.", parser=parse_dsn
        )
        hostname = Option(
            default="",
            doc="Name of this instance in logs, metrics and Sentry. Not set: the host name of the machine.",
            parser=parse_hostname,
        )

    def __init__(self, config: ConfigManager) -> None:
        self.config = config.with_options(self)
        self.basedir: Path = self.config("basedir")
        self.logging_level: str = self.config("logging_level")
        self.local_dev_env: bool = self.config("local_dev_env")
        self.statsd_host: str = self.config("statsd_host")
        self.statsd_port: int = self.config("statsd_port")
        self.statsd_namespace: str = self.config("statsd_namespace")
        self.metrics_mozilla_names: bool = self.config("metrics_mozilla_names")
        self.secret_sentry_dsn: str = self.config("secret_sentry_dsn")
        self.hostname: str = self.config("hostname")


class WebServerConfig:
    """The options of the web server, gunicorn."""

    class Config:
        """Options, without a namespace. Other settings of gunicorn are not for operators."""

        listen_address = Option(
            default="",
            doc="IP address to listen on, or a name of this machine. Not set: all of IPv4 and IPv6, or of the one that "
            "the system has.",
            parser=parse_listen_address,
        )
        port = Option(default="8000", doc="TCP port to listen on.", parser=bounded(parse_int, "1", "65535"))
        admin_port = Option(
            default="",
            doc="TCP port for health checks alone. It is answered while every connection of PORT is taken; crashes are "
            "not taken there. Not set: the health endpoints are on PORT only, where they always are.",
            parser=parse_optional_port,
        )
        gunicorn_workers = Option(
            default="1",
            doc="Worker processes. Each keeps one CPU core busy: start as many as the container has cores.",
            parser=bounded(parse_int, "1"),
        )
        gunicorn_worker_class = Option(
            default="gevent",
            doc="Kept for settings of old: gevent serves whatever is set here, with a warning at the start.",
            parser=one_of("gevent", "gthread", "sync"),
        )
        gunicorn_worker_connections = Option(
            default="4000", doc="Connections that one worker serves at a time.", parser=bounded(parse_int, "1")
        )
        gunicorn_max_requests = Option(
            default="0", doc="A worker is replaced after this many requests. 0: never.", parser=bounded(parse_int, "0")
        )
        gunicorn_max_requests_jitter = Option(
            default="0",
            doc="Up to this many requests more, at random, so that workers are not replaced all at once.",
            parser=bounded(parse_int, "0"),
        )
        gunicorn_keepalive = Option(
            default="75s",
            doc="How long an idle connection stays open. Keep it above the load balancer's idle time (60s in common "
            "ones): it may otherwise send a crash into a connection that is being closed.",
            parser=bounded(parse_duration, "1s"),
        )
        gunicorn_graceful_timeout = Option(
            default="30s",
            doc="How long requests in flight may take after SIGTERM. Keep it below the platform's grace period.",
            parser=bounded(parse_duration, "1s"),
        )
        cmd_prefix = Option(default="", doc="Command that bin/run_web.sh starts the server under, such as a profiler.")

    def __init__(self, config: ConfigManager) -> None:
        """Raises ``ConfigurationError``."""
        self.config = config.with_options(self)
        self.listen_address: str = self.config("listen_address")
        self.port: int = self.config("port")
        self.admin_port: int | None = self.config("admin_port")
        if self.admin_port == self.port:
            raise ConfigurationError(
                f"ADMIN_PORT has a bad value {str(self.admin_port)!r}: expected another port than PORT."
            )
        self.workers: int = self.config("gunicorn_workers")
        self.worker_class: str = self.config("gunicorn_worker_class")
        self.worker_connections: int = self.config("gunicorn_worker_connections")
        self.max_requests: int = self.config("gunicorn_max_requests")
        self.max_requests_jitter: int = self.config("gunicorn_max_requests_jitter")
        # Gunicorn takes whole seconds.
        self.keepalive = math.ceil(self.config("gunicorn_keepalive"))
        self.graceful_timeout = math.ceil(self.config("gunicorn_graceful_timeout"))
