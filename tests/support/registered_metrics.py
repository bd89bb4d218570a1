# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A mock that accepts only metrics of the registry."""

from markus.filters import MetricsException
from markus.main import MetricsRecord
from markus.testing import MetricsMock

from antenna.ops.metrics import RegisteredOnly
from antenna.ops.registry import load_registry

_registered = RegisteredOnly(load_registry(), raise_error=True)


class RegisteredMetricsMock(MetricsMock):  # type: ignore[misc]  # markus comes without types
    """Collects the metrics that a test emits.

    It remembers those that are not in the registry, even if code swallows the error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[MetricsException] = []

    def emit_to_backend(self, record: MetricsRecord) -> None:
        try:
            _registered.filter(record)
        except MetricsException as error:
            self.errors.append(error)
            raise
        super().emit_to_backend(record)
