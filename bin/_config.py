# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The options of collector and viewer, and their values. show_config.py and check_config.py use it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from antenna.breakpad_resource import BreakpadSubmitterResource
from antenna.config import (
    AppConfig,
    ConfigurationError,
    WebServerConfig,
    build_config,
    describe_options,
    mask_value,
)
from antenna.config.environment import LIBRARY_VARIABLES, option_values
from antenna.crashmover import CrashMover
from antenna.crashmover.timeouts import Timeouts, TimeoutsWithoutSpool
from antenna.ext import NoOpCrashPublish, NoOpCrashStorage
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish
from antenna.limits import Limits
from antenna.payload import PayloadReader
from antenna.spool import Spool
from antenna.throttler import Throttler
from antenna.viewer.options import ViewerConfig

__all__ = ["Setting", "known_names", "settings"]

STORAGE = ("crashmover", "crashstorage")
PUBLISH = ("crashmover", "crashpublish")

# The components of every collector and of the viewer, each with its namespaces.
_COMPONENTS: list[tuple[type, tuple[str, ...]]] = [
    (AppConfig, ()),
    (WebServerConfig, ()),
    (BreakpadSubmitterResource, ("breakpad",)),
    (PayloadReader, ("breakpad",)),
    (Limits, ("breakpad",)),
    (Throttler, ("breakpad", "throttler")),
    (CrashMover, ("crashmover",)),
    (Spool, ("crashmover",)),
    (ViewerConfig, ("viewer",)),
]
# The backends that a collector may have.
_CHOICES: list[tuple[type, tuple[str, ...]]] = [
    (GcsCrashStorage, STORAGE),
    (FSCrashStorage, STORAGE),
    (NoOpCrashStorage, STORAGE),
    (PubSubCrashPublish, PUBLISH),
    (FSCrashPublish, PUBLISH),
    (NoOpCrashPublish, PUBLISH),
]


@dataclass(frozen=True, slots=True)
class Setting:
    """An option, and its masked value for a collector or a viewer with this environment."""

    name: str
    value: str
    is_set: bool
    doc: str
    #: The fault of the value. It is empty if the value is good.
    problem: str = ""


def known_names(environ: Mapping[str, str]) -> set[str]:
    """Return the names of all options, including those of backends that this collector does not use."""
    return {setting.name for setting in settings(environ)} | {
        option.name for component, namespaces in _CHOICES for option in describe_options(component, *namespaces)
    }


def settings(environ: Mapping[str, str]) -> Iterator[Setting]:
    """Yield all options of a collector and of the viewer with this environment."""
    values = option_values(environ)
    for component, namespaces in _components(environ):
        yield from _settings_of(component, namespaces, values, environ)
    for name in LIBRARY_VARIABLES:
        if name in values:
            yield Setting(name, mask_value(name, values[name]), is_set=True, doc="Read by Google's libraries, too.")


def _components(environ: Mapping[str, str]) -> Iterator[tuple[type, tuple[str, ...]]]:
    yield from _COMPONENTS
    yield (Timeouts if environ.get("CRASHMOVER_SPOOL_DIR") else TimeoutsWithoutSpool), ("crashmover",)
    mover = build_config(environ).with_namespace("crashmover").with_options(CrashMover)
    for key, namespaces in (("crashstorage_class", STORAGE), ("crashpublish_class", PUBLISH)):
        try:
            backend: type = mover(key)
        except ConfigurationError:
            continue  # the option of the class is a setting as well, and its problem is reported there
        yield backend, namespaces


def _settings_of(
    component: type, namespaces: tuple[str, ...], values: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[Setting]:
    config = build_config(environ)
    for namespace in namespaces:
        config = config.with_namespace(namespace)
    bound = config.with_options(component)
    prefix = "".join(f"{namespace.upper()}_" for namespace in namespaces)
    for option in describe_options(component, *namespaces):
        problem = ""
        try:
            bound(option.name.removeprefix(prefix).lower())
        except ConfigurationError as error:
            problem = str(error)
        value = values.get(option.name, option.default or "")
        yield Setting(option.name, mask_value(option.name, value), option.name in values, option.doc, problem)


def environment() -> dict[str, str]:
    """Return the environment of this process."""
    return dict(os.environ)
