# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Metrics: the registry of all there are, and the backends they go to.

Code emits metrics through ``markus.get_metrics``, as it logs through ``logging.getLogger``.
"""

import atexit
import logging
import time
from pathlib import Path
from typing import Any

import markus
import yaml
from datadog.dogstatsd.base import DogStatsd
from markus.backends.datadog import DatadogMetrics
from markus.backends.logging import LoggingMetrics
from markus.filters import AddTagFilter, RegisteredMetricsFilter
from markus.main import MetricsRecord

from antenna.blocking import run_blocking
from antenna.config import AppConfig

logger = logging.getLogger(__name__)

# What may wait while the statsd host is away or its name does not resolve: packets of up to 1.4 kB, for 10 s.
MAX_WAITING_PACKETS = 500

# How long the end of the process may take to send the last packets, in seconds.
FINAL_FLUSH_TIMEOUT = 1.0


def load_registry() -> dict[str, dict[str, Any]]:
    """Every metric by its name: its type, its description and, where it has some, its tags."""
    registry: dict[str, dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("statsd_metrics.yaml").read_text(encoding="utf-8")
    )
    return registry


def set_up_metrics(app_config: AppConfig) -> None:
    """Emit metrics to statsd if there is one, and to the log in the local environment."""
    filters = [
        RegisteredOnly(load_registry(), raise_error=app_config.local_dev_env),
        AddTagFilter(f"host:{app_config.hostname}"),
    ]
    backends: list[dict[str, Any]] = []
    if app_config.statsd_host:
        options = {
            "statsd_host": app_config.statsd_host,
            "statsd_port": app_config.statsd_port,
            "statsd_namespace": app_config.statsd_namespace,
        }
        backends.append({"class": StatsdBackend, "options": options, "filters": filters})
    if app_config.local_dev_env:
        backends.append({"class": LoggingMetrics, "filters": filters})
    markus.configure(backends, raise_errors=True)


class RegisteredOnly(RegisteredMetricsFilter):  # type: ignore[misc]  # markus comes without types
    """Lets registered metrics pass. Others raise, or are dropped and logged once each."""

    def __init__(self, registry: dict[str, dict[str, Any]], *, raise_error: bool) -> None:
        super().__init__(registry, raise_error=raise_error)
        self._logged: set[str] = set()

    def filter(self, record: MetricsRecord) -> MetricsRecord | None:
        """The record, or None to drop it; raises ``markus.filters.MetricsException`` with ``raise_error``."""
        metric = self.registered_metrics.get(record.key)
        if metric is not None and metric["type"] == record.stat_type:
            return record
        if self.raise_error:
            return super().filter(record)
        if record.key not in self._logged:
            self._logged.add(record.key)
            logger.error("metric %s (%s) is not registered and was dropped", record.key, record.stat_type)
        return None


class StatsdBackend(DatadogMetrics):  # type: ignore[misc]  # markus comes without types
    """Gathers metrics into packets and sends them from a thread of its own.

    So a crash never waits for the name of the statsd host to resolve. The Datadog protocol is statsd's with tags added.
    """

    def __init__(self, options: dict[str, Any], filters: list[Any]) -> None:
        super().__init__(options=options, filters=filters)
        logging.getLogger("datadog.dogstatsd").filters = [_OncePerMinute()]
        # Under gevent, a native thread resolves the host's name. Have one now: Python 3.12 starts none while it ends.
        run_blocking(time.monotonic)
        atexit.register(self.flush)

    def flush(self) -> None:
        """Send what is waiting, unless that takes too long."""
        self.client.wait_for_pending(FINAL_FLUSH_TIMEOUT)

    def _get_client(self, host: str, port: int, namespace: str, origin_detection_enabled: bool) -> DogStatsd:  # noqa: FBT001 - markus calls it
        return DogStatsd(
            host=host,
            port=port,
            namespace=namespace,
            origin_detection_enabled=origin_detection_enabled,
            # The client's metrics about itself are not in our registry.
            disable_telemetry=True,
            disable_buffering=False,
            disable_background_sender=False,
            sender_queue_size=MAX_WAITING_PACKETS,
            sender_queue_timeout=0,
        )


class _OncePerMinute(logging.Filter):
    """While the statsd host is away the client logs a warning a packet."""

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + 60
        return True
