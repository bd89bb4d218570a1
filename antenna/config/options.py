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
    """Read a path. An empty text stands for the directory that holds the antenna package."""
    return Path(text) if text else Path(__file__).resolve().parents[2]


@expects("text")
def parse_hostname(text: str) -> str:
    """Read a name. An empty text stands for the host name of the machine."""
    return text or socket.gethostname()


@expects("an integer, from 1 to 65535, other than PORT")
def parse_optional_port(text: str) -> int | None:
    """Read a port. An empty text means that there is no such port: None."""
    port: int | None = bounded(parse_int, "1", "65535")(text) if text else None
    return port


class AppConfig:
    """The options of the application as a whole."""

    class Config:
        """Options, without a namespace."""

        basedir = Option(
            default="",
            doc="Directory that holds version.json. If it is not set, it is the directory with the antenna package.",
            parser=parse_basedir,
        )
        logging_level = Option(
            default="INFO",
            doc="Lowest level of the records that are logged. DEBUG applies to the collector, not to its libraries.",
            parser=one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        )
        local_dev_env = Option(
            default="false",
            doc="For development. The log has readable lines, and shows the configuration and the metrics only if "
            "LOGGING_LEVEL is DEBUG.",
            parser=parse_bool,
        )
        statsd_host = Option(
            default="", doc="Host of the statsd or Datadog daemon. If it is not set, no metrics are sent."
        )
        statsd_port = Option(
            default="8125", doc="UDP port of the statsd daemon.", parser=bounded(parse_int, "1", "65535")
        )
        statsd_namespace = Option(
            default="", doc="Prefix of every metric's name. A dot follows it.", parser=parse_metric_prefix
        )
        metrics_mozilla_names = Option(
            default="false",
            doc="If true, the metrics of Mozilla's Antenna are sent as well, under its names, for its dashboards.",
            parser=parse_bool,
        )
        secret_sentry_dsn = Option(
            default="", doc="DSN of the Sentry project. If it is not set, no errors are reported.", parser=parse_dsn
        )
        hostname = Option(
            default="",
            doc="Name of this instance in logs, metrics and Sentry. If it is not set, it is the machine's host name.",
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
        """Options, without a namespace. Gunicorn's other settings are fixed in ``antenna.server.conf``."""

        listen_address = Option(
            default="",
            doc="IP address to listen on, or a name of this machine. If it is not set, the collector listens on all "
            "addresses, of IPv4 and IPv6 as far as the system has them.",
            parser=parse_listen_address,
        )
        port = Option(default="8000", doc="TCP port to listen on.", parser=bounded(parse_int, "1", "65535"))
        admin_port = Option(
            default="",
            doc="TCP port for the health endpoints, which always are on PORT as well, and for metrics for Prometheus. "
            "This port answers even while every connection of PORT is in use, and takes no crashes. If it is not set, "
            "there is no such port.",
            parser=parse_optional_port,
        )
        gunicorn_workers = Option(
            default="1",
            doc="Number of worker processes. A worker uses one CPU core: set the number of cores of the container.",
            # A number meant for another option would make so many processes that the machine stops answering.
            parser=bounded(parse_int, "1", "256"),
        )
        gunicorn_worker_class = Option(
            default="gevent",
            doc="Without effect: the worker is always gevent. The option exists so that old settings are no error. A "
            "value other than gevent is named in a warning at the start.",
            parser=one_of("gevent", "gthread", "sync"),
        )
        gunicorn_worker_connections = Option(
            default="4000", doc="Connections that one worker serves at a time.", parser=bounded(parse_int, "1")
        )
        gunicorn_max_requests = Option(
            default="0",
            doc="Number of requests after which a worker is replaced. If it is 0, workers are not replaced.",
            parser=bounded(parse_int, "0"),
        )
        gunicorn_max_requests_jitter = Option(
            default="0",
            doc="Each worker serves up to this many requests more than GUNICORN_MAX_REQUESTS, a number drawn at "
            "random, so that the workers are not all replaced at once.",
            parser=bounded(parse_int, "0"),
        )
        gunicorn_keepalive = Option(
            default="75s",
            doc="Time that an idle connection stays open. Keep it above the idle time of the load balancer, which "
            "often is 60s. If it is below, the load balancer may send a crash into a connection that is being closed.",
            parser=bounded(parse_duration, "1s"),
        )
        gunicorn_graceful_timeout = Option(
            default="30s",
            doc="Time that requests in flight may take after SIGTERM. Keep it below the platform's grace period.",
            parser=bounded(parse_duration, "1s"),
        )
        cmd_prefix = Option(
            default="", doc="Command that bin/run_web.sh puts in front of the server's command, such as a profiler."
        )

    def __init__(self, config: ConfigManager) -> None:
        """Read the options from ``config``. Raises ``ConfigurationError``."""
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
