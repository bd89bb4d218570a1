# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the registry of all metrics, ``antenna/statsd_metrics.yaml``, and makes Prometheus' names of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from antenna.config import parse_attribute

#: Prefix of every name in Prometheus.
PREFIX = "antenna_"

# Upper bounds of the buckets of a histogram. Those for seconds go from a millisecond, which a rejected crash takes, to
# the minute that a body may take. Those for bytes go from a kilobyte to the largest report.
_BOUNDS = {
    "seconds": (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    "bytes": tuple(float(4**power) for power in range(5, 15)),
}
# PyYAML's loader in C needs 3 ms for the file at each start, the one in Python 35. Some builds of PyYAML lack it.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Endings of our names that Prometheus expresses in another way.
_ENDINGS = (".count", "_count", ".time")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a metric. It is a label in Prometheus."""

    description: str
    #: The values of the tag, each with its meaning. None if they are not known beforehand, such as names of rules.
    values: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the registry."""

    name: str
    type: str
    description: str
    tags: Mapping[str, Tag]
    #: The unit of its values in Prometheus: seconds, bytes or info. It is empty for a number of things.
    unit: str

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus: with the unit, and with ``_total`` if it is a counter."""
        name = self.name
        for ending in _ENDINGS:
            name = name.removesuffix(ending)
        parts = [PREFIX + name.replace(".", "_"), self.unit, "total" if self.type == "incr" else ""]
        return "_".join(filter(None, parts))

    @property
    def bounds(self) -> tuple[float, ...]:
        """The upper bounds of the buckets of a histogram. Empty for counters and gauges."""
        return _BOUNDS[self.unit] if self.type in ("timing", "histogram") else ()

    @property
    def scale(self) -> float:
        """The factor by which a value is multiplied for Prometheus. Timings are milliseconds, and become seconds."""
        return 0.001 if self.type == "timing" else 1.0

    def known_series(self) -> Iterator[tuple[str, ...]]:
        """Yield the values of the tags of each series that is known beforehand."""
        values = [tag.values for tag in self.tags.values()]
        yield from product(*(known or () for known in values))


@cache
def load_registry() -> dict[str, dict[str, Any]]:
    """Return the content of the file: every metric by its name."""
    content = (Path(__file__).resolve().parents[1] / "statsd_metrics.yaml").read_text(encoding="utf-8")
    registry: dict[str, dict[str, Any]] = yaml.load(content, _YAML_LOADER)  # noqa: S506 - both loaders are safe ones
    return registry


@cache
def load_metrics() -> dict[str, Metric]:
    """Return every metric by its name."""
    return {name: _metric(name, entry) for name, entry in load_registry().items()}


def _metric(name: str, entry: Mapping[str, Any]) -> Metric:
    tags = {tag: _tag(said) for tag, said in entry.get("tags", {}).items()}
    unit = "seconds" if entry["type"] == "timing" else entry.get("unit", "")
    return Metric(name, entry["type"], entry["description"], tags, unit)


def _tag(said: str | Mapping[str, Any]) -> Tag:
    """Read a tag: either a text, or a description with a list of values."""
    if isinstance(said, str):
        return Tag(said, None)
    values = said["values"]
    if isinstance(values, str):
        values = [getattr(value, "tag", value) for value in parse_attribute(values)]
    if not isinstance(values, Mapping):
        values = dict.fromkeys(values)
    known = {value: meaning or "" for value, meaning in values.items()}
    return Tag(said.get("description") or _in_words(known), known)


def _in_words(values: Mapping[str, str]) -> str:
    """Return a sentence about values that the registry lists itself."""
    return ", ".join(f"`{value}`" + (f" ({meaning})" if meaning else "") for value, meaning in values.items())
