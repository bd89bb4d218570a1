# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Metrics: the backends that they are sent to, and the filters before them.

Code emits metrics through ``markus.get_metrics``, as it logs through ``logging.getLogger``.
"""

import logging
from typing import Any

import markus
from markus.backends.logging import LoggingMetrics
from markus.filters import AddTagFilter, RegisteredMetricsFilter
from markus.main import MetricsFilter, MetricsRecord

from antenna.config import AppConfig
from antenna.ops.instance import Instance
from antenna.ops.mozilla import MozillaNames
from antenna.ops.prometheus import PrometheusMetrics
from antenna.ops.registry import load_registry
from antenna.ops.statsd import StatsdMetrics

logger = logging.getLogger(__name__)


def set_up_metrics(app_config: AppConfig, instance: Instance | None = None) -> None:
    """Emit metrics to statsd if there is one, and to the log in the local environment.

    ``instance`` has the table in which they are added up for Prometheus. It is None if there is no ADMIN_PORT.
    """
    filters = [
        RegisteredOnly(load_registry()),
        AddTagFilter(f"host:{app_config.hostname}"),
    ]
    backends: list[dict[str, Any]] = []
    if app_config.statsd_host:
        options = {
            "statsd_host": app_config.statsd_host,
            "statsd_port": app_config.statsd_port,
            "statsd_namespace": app_config.statsd_namespace,
            "mozilla_names": MozillaNames() if app_config.metrics_mozilla_names else None,
        }
        backends.append({"class": StatsdMetrics, "options": options, "filters": filters})
    if instance is not None:
        backends.append({"class": PrometheusMetrics, "options": {"instance": instance}})
    if app_config.local_dev_env:
        backends.append({"class": LoggingMetrics, "filters": [*filters, OnlyNews()]})
    markus.configure(backends, raise_errors=True)


class OnlyNews(MetricsFilter):  # type: ignore[misc]  # markus comes without types
    """Lets a gauge pass only if its value has changed.

    The same values every few seconds would bury the crashes in the log.
    """

    def __init__(self) -> None:
        self._gauges: dict[tuple[str, ...], Any] = {}

    def filter(self, record: MetricsRecord) -> MetricsRecord | None:
        """Return the record, or None to drop it."""
        if record.stat_type != "gauge":
            return record
        gauge = (record.key, *sorted(record.tags))
        if self._gauges.get(gauge) == record.value:
            return None
        self._gauges[gauge] = record.value
        return record


class RegisteredOnly(RegisteredMetricsFilter):  # type: ignore[misc]  # markus comes without types
    """Lets registered metrics pass. Any other is dropped, and its name is logged once as an error.

    A crash is worth more than a metric. So a metric that somebody forgot to register must not fail the request that
    emits it. Tests set ``raise_error``, which makes it an error.
    """

    def __init__(self, registry: dict[str, dict[str, Any]], *, raise_error: bool = False) -> None:
        super().__init__(registry, raise_error=raise_error)
        self._logged: set[str] = set()

    def filter(self, record: MetricsRecord) -> MetricsRecord | None:
        """Return the record, or None to drop it. Raises ``markus.filters.MetricsException`` with ``raise_error``."""
        metric = self.registered_metrics.get(record.key)
        if metric is not None and metric["type"] == record.stat_type:
            return record
        if self.raise_error:
            return super().filter(record)
        if record.key not in self._logged:
            self._logged.add(record.key)
            logger.error("metric %s (%s) is not registered and was dropped", record.key, record.stat_type)
        return None
