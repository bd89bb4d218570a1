# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Parsers turn the text of an option into its value. Each says what it expects."""

import ipaddress
import math
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from antenna.config.imports import ImportFailedError, import_attribute

T = TypeVar("T")


class Parser(Generic[T]):
    """A function that turns the text of an option into its value.

    ``expected`` says what the text should be, in the error message and in the documentation. The error never has the
    text itself, which may be secret.
    """

    def __init__(self, expected: str, convert: Callable[[str], T]) -> None:
        self.expected = expected
        self._convert = convert

    def __call__(self, text: str) -> T:
        """Convert ``text``. Raises ``ValueError``, whose message says what was expected."""
        try:
            return self._convert(text.strip())
        except ValueError:
            raise ValueError(f"expected {self.expected}") from None


def expects(expected: str) -> Callable[[Callable[[str], T]], Parser[T]]:
    """Make a parser of the decorated function. ``expected`` completes the sentence "expected ..."."""
    return lambda convert: Parser(expected, convert)


def bounded(parser: Parser[Any], minimum: str, maximum: str = "") -> Parser[Any]:
    """Restrict a parser to values from ``minimum`` to ``maximum``. Both are allowed, and written like the option."""
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
    """Return a parser for one of ``choices``, in any letter case. It returns the choice as it is written here."""

    def convert(text: str) -> str:
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        raise ValueError

    return Parser(f"one of {', '.join(choices)}", convert)


@expects("true or false")
def parse_bool(text: str) -> bool:
    """Read a boolean in any of the usual spellings."""
    match text.lower():
        case "true" | "t" | "yes" | "y" | "on" | "1":
            return True
        case "false" | "f" | "no" | "n" | "off" | "0":
            return False
    raise ValueError


@expects("names with commas between them")
def parse_names(text: str) -> tuple[str, ...]:
    """Read names with commas between them, each once. A comma alone means no names."""
    return tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))


@expects("an integer")
def parse_int(text: str) -> int:
    """Read an integer. int() is not enough, because it accepts "1_0" and the digits of other scripts."""
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


def _number_and_unit(text: str) -> tuple[float, str]:
    """Split "25 MiB" into 25.0 and "mib". Raises ``ValueError`` for anything else, also if there is a sign."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", text)
    if match is None:
        raise ValueError
    return float(match[1]), match[2].lower()


@expects("a size, such as 25MiB, 200 MB or 26214400 (bytes)")
def parse_size(text: str) -> int:
    """Read a size. Returns bytes."""
    number, unit = _number_and_unit(text)
    if unit not in _SIZE_UNITS:
        raise ValueError
    return int(number * _SIZE_UNITS[unit])


@expects("a duration, such as 60s, 500ms, 2m, 1h or 60 (seconds)")
def parse_duration(text: str) -> float:
    """Read a duration. Returns seconds."""
    number, unit = _number_and_unit(text)
    if unit not in _DURATION_UNITS:
        raise ValueError
    return number * _DURATION_UNITS[unit]


@expects("a Sentry DSN, such as https://<public key>@<host>/<project id>")
def parse_dsn(text: str) -> str:
    """Check that the text has the parts of a Sentry DSN. An empty text means that there is none."""
    if text:
        url = urlsplit(text)
        is_key_at_host = url.scheme in {"http", "https"} and url.username and url.hostname
        if not is_key_at_host or not url.path.rpartition("/")[2].isdigit():
            raise ValueError
    return text


@expects("letters, digits and underscores, in parts separated by dots")
def parse_metric_prefix(text: str) -> str:
    """Check that the text can be put before a metric's name. An empty text means that there is no prefix."""
    if text and not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", text):
        raise ValueError
    return text


class _DottedPathParser(Parser[Any]):
    """Imports the object that a dotted path names.

    Its error says why, because a path is not secret, and the fault may be inside the module.
    """

    def __init__(self, expected: str, accepts: Callable[[Any], bool]) -> None:
        super().__init__(expected, self._import)
        self._accepts = accepts

    def __call__(self, text: str) -> Any:
        value = self._import(text.strip())
        if self._accepts(value):
            return value
        raise ValueError(f"expected {self.expected}")

    def _import(self, path: str) -> Any:
        module_name, _, attribute = path.rpartition(".")
        if not module_name or not attribute:
            raise ValueError(f"expected {self.expected}")
        try:
            return import_attribute(module_name, attribute)
        except ImportFailedError as error:
            raise ValueError(f"expected {self.expected}; {error}") from error


def subclass_of(base: type) -> Parser[Any]:
    """Return a parser for the dotted path of a class derived from ``base``."""
    return _DottedPathParser(
        f"the dotted path of a class derived from {base.__module__}.{base.__qualname__}",
        lambda value: isinstance(value, type) and issubclass(value, base),
    )


parse_class = _DottedPathParser(
    "the dotted path of a Python class, such as package.module.Class", lambda value: isinstance(value, type)
)
parse_attribute = _DottedPathParser(
    "the dotted path of something in a Python module, such as package.module.NAME", lambda _: True
)


# A host name as in RFC 1123 section 2.1. Underscores are allowed as well, because some networks use them.
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")


@expects("an IP address or the name of a host, without a port")
def parse_listen_address(text: str) -> str:
    """Read an IP address, with or without the brackets of IPv6, or a host name. Returns it without brackets.

    An empty text stays empty.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare:
        if text:
            raise ValueError
        return ""
    if ":" in bare or bare != text or re.fullmatch(r"[0-9.]+", bare):
        # Brackets are only for IPv6. Gunicorn does not accept a zone, as in fe80::1%eth0.
        address = ipaddress.IPv6Address(bare) if bare != text else ipaddress.ip_address(bare)
        if "%" in bare:
            raise ValueError
        return str(address)
    if not _HOST_NAME.fullmatch(bare):
        raise ValueError
    return bare
