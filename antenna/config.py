# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Configuration: which options there are, where their values come from, and how they are shown.

A component declares its options in an inner class ``Config`` and reads them through the manager it is given::

    class Reader:
        class Config:
            timeout = Option(default="60s", doc="How long a read may take.", parser=parse_duration)

        def __init__(self, config: ConfigManager) -> None:
            self.config = config.with_options(self)
            self.timeout: float = self.config("timeout")

Nothing else in the package knows which library reads the environment.
"""

import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from everett import NO_VALUE, ConfigurationError
from everett.manager import (
    ConfigDictEnv,
    ConfigManager,
    Option,
    generate_uppercase_key,
    get_config_for_class,
)

from antenna.option_parsers import (
    Parser,
    bounded,
    expects,
    one_of,
    parse_attribute,
    parse_bool,
    parse_class,
    parse_dsn,
    parse_duration,
    parse_int,
    parse_metric_prefix,
    parse_size,
    subclass_of,
)

__all__ = [
    "AppConfig",
    "ConfigManager",
    "ConfigurationError",
    "Option",
    "OptionInfo",
    "Parser",
    "WebServerConfig",
    "bounded",
    "build_config",
    "collect_options",
    "describe_options",
    "expects",
    "is_secret",
    "mask_value",
    "one_of",
    "parse_attribute",
    "parse_bool",
    "parse_class",
    "parse_duration",
    "parse_int",
    "parse_size",
    "subclass_of",
]

MASK = "*****"


def is_secret(name: str) -> bool:
    """Whether the name of an option says that its value must never be shown."""
    return re.search(r"secret|token|password|key|dsn", name, re.IGNORECASE) is not None


def mask_value(name: str, value: str) -> str:
    """The value as it may be shown: masked if the name says that it is secret, and so are credentials inside a URL."""
    if is_secret(name):
        return MASK if value else ""
    return re.sub(r"(?<=://)[^/\s]*@", f"{MASK}@", value)


def build_config(environ: Mapping[str, str] | None = None) -> ConfigManager:
    """The configuration of the process: environment variables (or ``environ``) and nothing else.

    An empty variable counts as one that is not set. Reading an option raises ``ConfigurationError`` for a bad value.
    """
    # Names are upper case: a "port" that something else left in the environment is not our PORT.
    environ = os.environ if environ is None else environ
    values = {name: value for name, value in environ.items() if name.isupper() and value}

    def build_message(
        namespace: list[str] | None, key: str | None, parser: Callable[[str], object], msg: str = "", **docs: str
    ) -> str:
        if key is None:
            return msg
        name = _full_name(key, namespace)
        if name in values:
            problem = f"{name} has a bad value {mask_value(name, values[name])!r}"
        else:
            problem = f"{name} has a bad default" if msg else f"{name} is not set"
        # everett puts the exception's class in front of what the parser said.
        reason = msg.partition(": ")[2] or f"expected {_expected(parser)}"
        return f"{problem}: {reason}. {docs.get('option_doc', '')}".strip()

    # everett's overrides are global state; who needs other values passes another environ.
    return ConfigManager([ConfigDictEnv(values)], msg_builder=build_message, with_override=False)


def _full_name(key: str, namespace: list[str] | None) -> str:
    return str(generate_uppercase_key(key, namespace))


def _expected(parser: object) -> str:
    return parser.expected if isinstance(parser, Parser) else "text"


@dataclass(frozen=True)
class OptionInfo:
    """What there is to say about one option. ``default`` is None where the option must be set."""

    name: str
    default: str | None
    doc: str
    expected: str


def describe_options(component: type, *namespace: str) -> list[OptionInfo]:
    """The options of a component, in the order of their declaration, for the documentation: needs no environment."""
    return [
        OptionInfo(
            name=_full_name(key, list(namespace)),
            default=None if option.default is NO_VALUE else option.default,
            doc=option.doc,
            expected=_expected(option.parser),
        )
        for key, (option, _) in get_config_for_class(component).items()
    ]


def collect_options(config: ConfigManager) -> Iterator[tuple[str, str]]:
    """Name and value, masked, of every option of the component that ``config`` belongs to."""
    component = config.get_bound_component()
    if component is None:
        return
    for key in get_config_for_class(component):
        name = _full_name(key, config.get_namespace())
        yield name, mask_value(name, config(key, raw_value=True))


@expects("the path of a directory")
def parse_basedir(text: str) -> Path:
    """Read a path; none stands for the directory that holds the antenna package."""
    return Path(text) if text else Path(__file__).resolve().parent.parent


@expects("text")
def parse_hostname(text: str) -> str:
    """Read a name; none stands for the host name of the machine."""
    return text or socket.gethostname()


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
            doc="For development: readable log lines, metrics in the log, and an error for an unregistered metric.",
            parser=parse_bool,
        )
        statsd_host = Option(default="", doc="Host of the statsd or Datadog daemon. Not set: no metrics are sent.")
        statsd_port = Option(
            default="8125", doc="UDP port of the statsd daemon.", parser=bounded(parse_int, "1", "65535")
        )
        statsd_namespace = Option(
            default="", doc="Put in front of the name of every metric, with a dot.", parser=parse_metric_prefix
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
        self.secret_sentry_dsn: str = self.config("secret_sentry_dsn")
        self.hostname: str = self.config("hostname")


class WebServerConfig:
    """The options of the web server, gunicorn."""

    class Config:
        """Options, without a namespace. Other settings of gunicorn are not for operators."""

        port = Option(default="8000", doc="TCP port to listen on.", parser=bounded(parse_int, "1", "65535"))
        gunicorn_workers = Option(
            default="1",
            doc="Worker processes. Each keeps one CPU core busy: start as many as the container has cores.",
            parser=bounded(parse_int, "1"),
        )
        gunicorn_worker_class = Option(
            default="gevent",
            doc="Gunicorn worker class. With others than gevent a slow client holds up the rest.",
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
        self.config = config.with_options(self)
        self.port: int = self.config("port")
        self.workers: int = self.config("gunicorn_workers")
        self.worker_class: str = self.config("gunicorn_worker_class")
        self.worker_connections: int = self.config("gunicorn_worker_connections")
        self.max_requests: int = self.config("gunicorn_max_requests")
        self.max_requests_jitter: int = self.config("gunicorn_max_requests_jitter")
        # Gunicorn takes whole seconds.
        self.keepalive = math.ceil(self.config("gunicorn_keepalive"))
        self.graceful_timeout = math.ceil(self.config("gunicorn_graceful_timeout"))
