# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures for all tests."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

# Fixtures for emulators, for a running collector, and for a disk that fails.
pytest_plugins = ["tests.support.fixtures", "tests.support.disk"]

# These tests run the collector as a program, and import nothing of it.
BLACK_BOX = ("system", "faults")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Collect no garbage while tests are collected: what they import and define stays, and looking at it takes long."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt all that has been imported and collected from Python's garbage collection: it stays to the end.

    Otherwise each full collection would look at some million objects, which took a tenth of the CPU of all tests.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


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
