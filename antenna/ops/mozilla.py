# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the metrics of Mozilla's Antenna from our own. ``mozilla_metrics.yaml`` says which is made from which."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from markus.main import MetricsRecord


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of mozilla_metrics.yaml: a metric of Mozilla's Antenna that is made from one of ours."""

    name: str
    stat_type: str
    where: frozenset[str]
    keep: tuple[str, ...]
    add: tuple[str, ...]


class MozillaNames:
    """Makes the metrics of Mozilla's Antenna from our own."""

    def __init__(self) -> None:
        """Read mozilla_metrics.yaml."""
        table = yaml.safe_load(Path(__file__).with_name("mozilla_metrics.yaml").read_text(encoding="utf-8"))
        self._rows: dict[str, list[_Row]] = defaultdict(list)
        for row in table:
            self._rows[row["from"]].append(
                _Row(
                    row["name"],
                    row["type"],
                    frozenset(row.get("where", ())),
                    tuple(f"{tag}:" for tag in ("host", *row.get("keep", ()))),
                    tuple(row.get("add", ())),
                )
            )
        #: The names of all metrics of Mozilla's Antenna. If one of our metrics has the same name, it is not sent,
        #: because it would be counted twice.
        self.names = frozenset(row["name"] for row in table)

    @property
    def sources(self) -> frozenset[str]:
        """Our metrics from which a metric of Mozilla's Antenna is made."""
        return frozenset(self._rows)

    def translate(self, record: MetricsRecord) -> Iterator[MetricsRecord]:
        """Yield the metrics of Mozilla's Antenna that are made from one record of ours."""
        for row in self._rows.get(record.key, ()):
            if not row.where <= set(record.tags):
                continue
            name = row.name
            if "{" in name:
                name = name.format_map(dict(tag.split(":", 1) for tag in record.tags))
            is_counted = row.stat_type == "incr" and record.stat_type != "incr"
            tags = [*(tag for tag in record.tags if tag.startswith(row.keep)), *row.add]
            yield MetricsRecord(row.stat_type, name, 1 if is_counted else record.value, tags)
