# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Metrics for Prometheus: a backend of Markus that adds them up, and the answer with the sums of all workers.

``PrometheusMetrics`` adds to the table of ``antenna.ops.series``. Each crash does so some ten times, so this only looks
up a place in the table and adds to it. prometheus-client would cost many times as much, with its locks and its files
for several processes. ``exposition`` hands the sums of all workers to prometheus-client, which writes them down.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from markus.backends import BackendBase
from markus.main import MetricsRecord

from antenna.ops.instance import Instance
from antenna.ops.registry import Metric, load_metrics
from antenna.ops.series import Series, SeriesTable

#: A function that writes the answer to a request for the metrics, from its Accept header. Returns the content type as
#: well.
Exposition = Callable[[str], tuple[bytes, str]]

# The first cell of a series, its bounds if it is a histogram, and the factor for its values.
_Place = tuple[int, tuple[float, ...], float]

# The metric that counts metrics for which there is no place.
_DROPPED = "metrics_dropped"
# Cells of a gauge: its value, and the time when it was set.
_GAUGE_WIDTH = 2


class PrometheusMetrics(BackendBase):  # type: ignore[misc]  # markus comes without types
    """A backend of Markus that adds each metric to its series in the table."""

    def __init__(self, options: dict[str, Any], filters: list[Any] | None = None) -> None:
        """``options`` has the ``instance`` with the table."""
        super().__init__(options=options, filters=filters)
        self._table: SeriesTable = options["instance"].series
        self._metrics = load_metrics()
        # The place of each counter and histogram, by its name and tags as they are emitted.
        self._places: dict[tuple[str, ...], _Place] = {}
        # The table that these places belong to.
        self._cells = self._table.cells
        declare(self._table)

    def emit_to_backend(self, record: MetricsRecord) -> None:
        """Add a metric to its series. If it comes for the first time, the registry says whether it exists."""
        if record.stat_type == "gauge":
            self._set(record)
            return
        if self._cells is not self._table.cells:  # this process has joined the table of all workers
            self._cells = self._table.cells
            self._places.clear()
        key = (record.key, *record.tags)
        place = self._places.get(key) or self._find_place(key, record)
        if place is None:
            return
        start, bounds, scale = place
        if bounds:
            value = record.value * scale
            self._cells[start + bisect_left(bounds, value)] += 1
            self._cells[start + len(bounds) + 1] += value
        else:
            self._cells[start] += record.value

    def _set(self, record: MetricsRecord) -> None:
        series = self._series(record)
        if series is not None:
            self._table.set_gauge(series, record.value)

    def _find_place(self, key: tuple[str, ...], record: MetricsRecord) -> _Place | None:
        series = self._series(record)
        if series is None:
            return None
        metric = self._metrics[record.key]
        self._places[key] = place = (series.start, metric.bounds, metric.scale)
        return place

    def _series(self, record: MetricsRecord) -> Series | None:
        """Return the series of a metric. If it is not registered, or there is no room, count that and return None."""
        metric = self._metrics.get(record.key)
        if metric is None or metric.type != record.stat_type:
            self._count_dropped("unregistered")
            return None
        tags = dict(tag.partition(":")[::2] for tag in record.tags)
        series = self._table.find(metric.name, tuple(tags.get(tag, "") for tag in metric.tags), _width(metric))
        if series is None:
            self._count_dropped("no_room")
        return series

    def _count_dropped(self, cause: str) -> None:
        series = self._table.find(_DROPPED, (cause,), 1)
        if series is not None:
            self._table.cells[series.start] += 1


def declare(table: SeriesTable) -> None:
    """Add the series that are known beforehand, with the value 0.

    If a series first appeared with the value 1, Prometheus would not count that as an increase.
    """
    for metric in load_metrics().values():
        for values in metric.known_series():
            table.find(metric.name, values, _width(metric))


def _width(metric: Metric) -> int:
    """Return how many cells a series takes. A histogram has the buckets, one for larger values, and the sum."""
    if metric.type == "gauge":
        return _GAUGE_WIDTH
    return len(metric.bounds) + 2 if metric.bounds else 1


def exposition(instance: Instance) -> Exposition:
    """Return the function that answers Prometheus. Only this function imports prometheus-client."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - needed only with ADMIN_PORT
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(instance, load_metrics()))

    def answer(accept: str) -> tuple[bytes, str]:
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        return encode(registry), content_type

    return answer


class _Families:
    """A collector of prometheus-client: it yields the metrics with their series and values."""

    def __init__(self, instance: Instance, metrics: Mapping[str, Metric]) -> None:
        self._instance = instance
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics. prometheus-client calls this."""
        sums, series_of = self._instance.sums(), dict[str, list[Series]]()
        for series in self._instance.series.known():
            series_of.setdefault(series.name, []).append(series)
        for name, metric in self._metrics.items():
            if name in series_of:
                yield self._family(metric, series_of[name], sums)

    def _family(self, metric: Metric, all_series: list[Series], sums: list[float]) -> Any:
        from prometheus_client import core  # noqa: PLC0415

        name, said, labels = metric.prometheus_name, metric.description.replace("`", ""), list(metric.tags)
        unit = metric.unit if metric.unit != "info" else ""
        if metric.bounds:
            histogram = core.HistogramMetricFamily(name, said, labels=labels, unit=unit)
            for series in all_series:
                values = sums[series.start : series.start + series.width]
                histogram.add_metric(series.values, list(_buckets(metric.bounds, values)), values[-1])
            return histogram
        if metric.type == "incr":
            counter = core.CounterMetricFamily(name, said, labels=labels)
            for series in all_series:
                counter.add_metric(series.values, sums[series.start])
            return counter
        gauge = core.GaugeMetricFamily(name, said, labels=labels, unit=unit)
        for series in all_series:
            if (value := self._instance.series.gauge(series)) is not None:
                gauge.add_metric(series.values, value)
        return gauge


def _buckets(bounds: tuple[float, ...], values: list[float]) -> Iterator[tuple[str, float]]:
    """Yield each bound with the number of values up to it, as Prometheus counts them."""
    total = 0.0
    for bound, value in zip([*map(str, bounds), "+Inf"], values[:-1], strict=True):
        total += value
        yield bound, total
