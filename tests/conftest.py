# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

# Fixtures for emulators, for a running collector, and for a disk that fails.
pytest_plugins = ["tests.support.fixtures", "tests.support.disk"]

# These tests run the collector as a program, and import nothing of it.
BLACK_BOX = ("system", "faults")


@pytest.fixture(autouse=True)
def metricsmock(request: pytest.FixtureRequest) -> Iterator[object]:
    """Metrics of the test, a ``MetricsMock``. Emitting one that is not in the registry fails the test."""
    if request.path.relative_to(Path(__file__).parent).parts[0] in BLACK_BOX:
        yield None
        return
    from tests.support.registered_metrics import RegisteredMetricsMock  # noqa: PLC0415 - imports the collector

    with RegisteredMetricsMock() as mock:
        yield mock
    assert mock.errors == []
