# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The configuration: which options exist, where their values come from, and how they are shown.

A component declares its options in an inner class ``Config``, and reads them through the manager that it is given::

    class Reader:
        class Config:
            timeout = Option(default="60s", doc="Time that a read may take.", parser=parse_duration)

        def __init__(self, config: ConfigManager) -> None:
            self.config = config.with_options(self)
            self.timeout: float = self.config("timeout")

``manager`` reads the environment with everett; no other module knows that library. ``parsers`` turn texts into values.
``options`` has the options that belong to no component, ``removed`` those of earlier versions. ``names`` finds names
that are misspelt, ``environment`` ignores what the platform sets, and ``imports`` imports what an option names. A bad
value raises ``ConfigurationError``, which names the option, the value and what was expected. Tests are in tests/config.
"""

from antenna.config.environment import service_links, strip_library_variables
from antenna.config.imports import NOWHERE, last_step, place_of, public_reason
from antenna.config.manager import (
    ConfigManager,
    ConfigurationError,
    Option,
    OptionInfo,
    bad_value,
    build_config,
    collect_options,
    describe_options,
    is_secret,
    is_set,
    mask_value,
)
from antenna.config.names import describe_unknown, unknown_names
from antenna.config.options import AppConfig, WebServerConfig
from antenna.config.parsers import (
    Parser,
    bounded,
    expects,
    one_of,
    parse_attribute,
    parse_bool,
    parse_class,
    parse_duration,
    parse_int,
    parse_names,
    parse_size,
    subclass_of,
)
from antenna.config.removed import REMOVED_OPTIONS, removed_options

__all__ = [
    "NOWHERE",
    "REMOVED_OPTIONS",
    "AppConfig",
    "ConfigManager",
    "ConfigurationError",
    "Option",
    "OptionInfo",
    "Parser",
    "WebServerConfig",
    "bad_value",
    "bounded",
    "build_config",
    "collect_options",
    "describe_options",
    "describe_unknown",
    "expects",
    "is_secret",
    "is_set",
    "last_step",
    "mask_value",
    "one_of",
    "parse_attribute",
    "parse_bool",
    "parse_class",
    "parse_duration",
    "parse_int",
    "parse_names",
    "parse_size",
    "place_of",
    "public_reason",
    "removed_options",
    "service_links",
    "strip_library_variables",
    "subclass_of",
    "unknown_names",
]
