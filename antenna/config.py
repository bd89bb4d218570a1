# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Configuration: options, the text they are read from, and how they are shown.

A component declares its options in an inner class ``Config`` and reads them through the manager it is given::

    class Reader:
        class Config:
            timeout = Option(default="60s", doc="How long a read may take.", parser=parse_duration)

        def __init__(self, config: ConfigManager) -> None:
            self.config = config.with_options(self)
            self.timeout: float = self.config("timeout")

Nothing else in the package knows which library reads the environment.
"""

import importlib
import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from everett import NO_VALUE, ConfigurationError
from everett.manager import (
    ConfigDictEnv,
    ConfigManager,
    Option,
    generate_uppercase_key,
    get_config_for_class,
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
]

T = TypeVar("T")


class Parser(Generic[T]):
    """Turns the text of an option into its value.

    ``expected`` is the one text for the error message and the documentation. Errors never repeat the text that was parsed:
    it may be a secret.
    """

    def __init__(self, expected: str, convert: Callable[[str], T]) -> None:
        self.expected = expected
        self._convert = convert

    def __call__(self, text: str) -> T:
        """Convert ``text``; raises ``ValueError`` that says what was expected."""
        try:
            return self._convert(text.strip())
        except ValueError:
            raise ValueError(f"expected {self.expected}") from None


def expects(expected: str) -> Callable[[Callable[[str], T]], Parser[T]]:
    """Make a function a parser; ``expected`` completes the sentence "expected ..."."""
    return lambda convert: Parser(expected, convert)


@expects("true or false")
def parse_bool(text: str) -> bool:
    match text.lower():
        case "true" | "t" | "yes" | "y" | "on" | "1":
            return True
        case "false" | "f" | "no" | "n" | "off" | "0":
            return False
    raise ValueError


@expects("an integer")
def parse_int(text: str) -> int:
    # int() alone would also take "1_0" and digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError
    return int(text)


_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_DURATION_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _split_unit(text: str) -> tuple[str, str]:
    """Split "25 MiB" into "25" and "mib"; raises ``ValueError`` unless it is a number without sign and letters."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", text)
    if match is None:
        raise ValueError
    return match[1], match[2].lower()


@expects("a size, such as 25MiB, 200 MB or 26214400 (bytes)")
def parse_size(text: str) -> int:
    """Bytes."""
    number, unit = _split_unit(text)
    if unit not in _SIZE_UNITS:
        raise ValueError
    factor = _SIZE_UNITS[unit]
    return int(number) * factor if number.isdigit() else int(float(number) * factor)


@expects("a duration, such as 60s, 500ms, 2m, 1h or 60 (seconds)")
def parse_duration(text: str) -> float:
    """Seconds."""
    number, unit = _split_unit(text)
    if unit not in _DURATION_UNITS:
        raise ValueError
    return float(number) * _DURATION_UNITS[unit]


def _import_dotted_path(path: str, expected: str) -> Any:
    module_name, _, attribute = path.rpartition(".")
    if not module_name or not attribute:
        raise ValueError(f"expected {expected}")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Exception as exc:  # noqa: BLE001 - importing runs code of the operator's, which may raise anything
        raise ValueError(f"expected {expected}; {type(exc).__name__}: {exc}") from exc


class _DottedPathParser(Parser[Any]):
    """Imports what a dotted path names. The error keeps the reason: a path is no secret, and the fault may be in the module."""

    def __init__(self, expected: str, accepts: Callable[[Any], bool]) -> None:
        super().__init__(expected, lambda path: _import_dotted_path(path, expected))
        self._accepts = accepts

    def __call__(self, text: str) -> Any:
        value = self._convert(text.strip())
        if not self._accepts(value):
            raise ValueError(f"expected {self.expected}")
        return value


parse_class = _DottedPathParser(
    "the dotted path of a Python class, such as package.module.Class", lambda value: isinstance(value, type)
)
parse_attribute = _DottedPathParser(
    "the dotted path of something in a Python module, such as package.module.NAME", lambda _value: True
)


@expects("a Sentry DSN, such as https://<public key>@<host>/<project id>")
def parse_dsn(text: str) -> str:
    if text:
        url = urlsplit(text)
        is_dsn = url.scheme in ("http", "https") and url.username and url.hostname
        if not is_dsn or not url.path.rpartition("/")[2].isdigit():
            raise ValueError
    return text


@expects("letters, digits and underscores, in parts separated by dots")
def parse_metric_prefix(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", text):
        raise ValueError
    return text


def bounded(parser: Parser[Any], minimum: str, maximum: str = "") -> Parser[Any]:
    """The same parser, refusing values below ``minimum`` or above ``maximum`` (both inclusive, and in the option's notation)."""
    low = parser(minimum)
    high = parser(maximum) if maximum else math.inf
    limits = f"from {minimum} to {maximum}" if maximum else f"at least {minimum}"

    def convert(text: str) -> Any:
        value = parser(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return Parser(f"{parser.expected}, {limits}", convert)


def one_of(*choices: str) -> Parser[str]:
    """A parser that takes one of ``choices``, in any letter case, and returns it as it is spelled there."""

    def convert(text: str) -> str:
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        raise ValueError

    return Parser(f"one of {', '.join(choices)}", convert)


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
    # Names are upper case: a shell's own "port" is not our PORT.
    values = {name: value for name, value in (os.environ if environ is None else environ).items() if name.isupper()}

    def build_message(
        namespace: list[str] | None, key: str | None, parser: Callable[[str], Any] | None, msg: str = "", **docs: str
    ) -> str:
        if key is None:
            return msg
        name = str(generate_uppercase_key(key, namespace))
        if name not in values:
            problem = f"{name} is not set" if not msg else f"{name} has a bad default"
        else:
            problem = f"{name} has a bad value {mask_value(name, values[name])!r}"
        reason = msg.partition(": ")[2] or f"expected {_expected(parser)}"
        return f"{problem}: {reason}. {docs.get('option_doc', '')}".strip()

    # everett's overrides are global state; whoever needs other values passes another environ.
    return ConfigManager([ConfigDictEnv(values)], msg_builder=build_message, with_override=False)


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
            name=str(generate_uppercase_key(key, list(namespace))),
            default=None if option.default is NO_VALUE else option.default,
            doc=option.doc,
            expected=_expected(option.parser),
        )
        for key, (option, _) in get_config_for_class(component).items()
    ]


def collect_options(config: ConfigManager) -> Iterator[tuple[str, str]]:
    """Name and masked value of every option of the component that ``config`` belongs to."""
    component = config.get_bound_component()
    if component is None:
        return
    for key in get_config_for_class(component):
        name = str(generate_uppercase_key(key, config.get_namespace()))
        yield name, mask_value(name, str(config(key, raw_value=True)))


class AppConfig:
    """The options of the application as a whole."""

    class Config:
        basedir = Option(
            default="",
            doc="Directory that holds version.json. Not set: the directory that holds the antenna package.",
        )
        logging_level = Option(
            default="INFO",
            doc="Log records below this level are dropped.",
            parser=one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        )
        local_dev_env = Option(
            default="false",
            doc="For development: readable log lines, metrics in the log, and an error for a metric that is not registered.",
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
            default="", doc="Name of this instance in metrics and Sentry. Not set: the host name of the machine."
        )

    def __init__(self, config: ConfigManager) -> None:
        self.config = config.with_options(self)
        self.basedir = Path(self.config("basedir") or Path(__file__).resolve().parent.parent)
        self.logging_level: str = self.config("logging_level")
        self.local_dev_env: bool = self.config("local_dev_env")
        self.statsd_host: str = self.config("statsd_host")
        self.statsd_port: int = self.config("statsd_port")
        self.statsd_namespace: str = self.config("statsd_namespace")
        self.sentry_dsn: str = self.config("secret_sentry_dsn")
        self.hostname: str = self.config("hostname") or socket.gethostname()


class WebServerConfig:
    """The options of the web server, gunicorn."""

    class Config:
        port = Option(default="8000", doc="TCP port to listen on.", parser=bounded(parse_int, "1", "65535"))
        gunicorn_workers = Option(
            default="1",
            doc="Worker processes. One keeps one CPU core busy: as many as the container has cores, or more containers.",
            parser=bounded(parse_int, "1"),
        )
        gunicorn_worker_class = Option(
            default="gevent", doc="Gunicorn worker class. With others than gevent a slow client holds up the rest."
        )
        gunicorn_worker_connections = Option(
            default="1000", doc="Connections that one worker serves at a time.", parser=bounded(parse_int, "1")
        )
        gunicorn_max_requests = Option(
            default="0",
            doc="A worker is replaced after this many requests. 0: never.",
            parser=bounded(parse_int, "0"),
        )
        gunicorn_max_requests_jitter = Option(
            default="0",
            doc="Up to this many more, at random, so that workers are not replaced all at once.",
            parser=bounded(parse_int, "0"),
        )
        gunicorn_keepalive = Option(
            default="75s",
            doc="An idle connection stays open this long. Must be longer than the load balancer's idle time (60s in most), "
            "which otherwise may send a crash into a connection that is just being closed.",
            parser=bounded(parse_duration, "1s"),
        )
        gunicorn_graceful_timeout = Option(
            default="30s",
            doc="After SIGTERM, requests in flight have this long to finish. Must be shorter than the platform's grace period.",
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
