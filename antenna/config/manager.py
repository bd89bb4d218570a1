# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the configuration of the process, and shows it without secrets. No other module knows everett."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from everett import NO_VALUE, ConfigurationError
from everett.manager import (
    ConfigDictEnv,
    ConfigManager,
    Option,
    generate_uppercase_key,
    get_config_for_class,
)

from antenna.config.environment import option_values
from antenna.config.parsers import Parser

__all__ = [
    "ConfigManager",
    "ConfigurationError",
    "Option",
    "OptionInfo",
    "bad_value",
    "build_config",
    "collect_options",
    "describe_options",
    "is_secret",
    "is_set",
    "mask_value",
]

MASK = "*****"

# Credentials in a URL, or before a host and its port.
_CREDENTIALS = re.compile(r"(?:(?<=://)|^)[^/\s]*@")
# The query string of a URL, which may have tokens.
_QUERY = re.compile(r"\?\S+")
# Options whose value is a command.
_COMMANDS = {"CMD_PREFIX"}


def is_secret(name: str) -> bool:
    """Whether the name of an option says that its value is secret and must never be shown."""
    return re.search(r"secret|token|password|key|dsn|webhook", name, re.IGNORECASE) is not None


def mask_value(name: str, value: str) -> str:
    """Return the value in a form that may be shown. If the name says that it is secret, all of it is masked.

    Credentials and query strings inside a URL are masked in any value.
    """
    if is_secret(name):
        return MASK if value else ""
    if name in _COMMANDS:
        return _mask_command(value)
    masked = _CREDENTIALS.sub(f"{MASK}@", value)
    return _QUERY.sub(f"?{MASK}", masked) if "://" in masked else masked


def _mask_command(command: str) -> str:
    """Return the name of the program in a command. Its arguments, and variables before it, are masked."""
    words = command.split()
    if not words:
        return ""
    program = next((word for word in words if "=" not in word and not word.startswith("-")), "")
    return program if words == [program] else f"{program} {MASK}".strip()


def build_config(environ: Mapping[str, str] | None = None) -> ConfigManager:
    """Return the configuration of the process, from environment variables (or from ``environ``) only.

    A variable that is empty counts as not set, and so does one that only the platform can have set: see
    ``antenna.config.environment``. To read an option with a bad value raises ``ConfigurationError``.
    """
    values = option_values(os.environ if environ is None else environ)

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
        # everett puts the class of the exception before the message of the parser.
        reason = msg.partition(": ")[2] or f"expected {_expected(parser)}"
        return f"{problem}: {reason}. {docs.get('option_doc', '')}".strip()

    # everett's overrides are global state. To get other values, pass another ``environ``.
    return ConfigManager([ConfigDictEnv(values)], msg_builder=build_message, with_override=False)


def is_set(config: ConfigManager, key: str) -> bool:
    """Whether the environment sets an option of the component that ``config`` belongs to."""
    return any(env.get(key, config.get_namespace()) not in (NO_VALUE, "") for env in config.envs)


def bad_value(config: ConfigManager, key: str, reason: str) -> ConfigurationError:
    """Return the error for a bad value of an option, in the form that it has if the parser raises it.

    ``config`` belongs to the component that has the option.
    """
    name = _full_name(key, config.get_namespace())
    option, _ = get_config_for_class(config.get_bound_component())[key]
    value = mask_value(name, config(key, raw_value=True))
    return ConfigurationError(f"{name} has a bad value {value!r}: {reason}. {option.doc}")


def _full_name(key: str, namespace: list[str] | None) -> str:
    return str(generate_uppercase_key(key, namespace))


def _expected(parser: object) -> str:
    return parser.expected if isinstance(parser, Parser) else "text"


@dataclass(frozen=True)
class OptionInfo:
    """The facts about one option. ``default`` is None if the option must be set."""

    name: str
    default: str | None
    doc: str
    expected: str


def describe_options(component: type, *namespace: str) -> list[OptionInfo]:
    """Return the options of a component, in the order of their declaration, for the documentation.

    This reads no environment.
    """
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
    """Yield the name and the masked value of each option of the component that ``config`` belongs to."""
    component = config.get_bound_component()
    if component is None:
        return
    for key in get_config_for_class(component):
        name = _full_name(key, config.get_namespace())
        yield name, mask_value(name, config(key, raw_value=True))
