# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The report that was sent is the crash that is saved.

These tests are like ``test_payload``, with a running collector.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.conftest import EXAMPLES
from tests.support.collector import Collector, SavedCrash
from tests.support.raw_http import RawConnection
from tests.support.sent_reports import SentReport, sent_reports
from tests.system.conftest import running_on_files

ADDED = {"uuid", "version", "submitted_timestamp", "metadata"}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_on_files(tmp_path_factory.mktemp("collector"), {}) as running:
        yield running


# An example takes ten times as long as one that is not sent.
@settings(max_examples=EXAMPLES // 3)
@given(
    sent=st.lists(sent_reports(), min_size=1, max_size=3), packet_size=st.integers(1, 100_000), pipelined=st.booleans()
)
def test_reports_on_a_connection(
    collector: Collector, sent: list[SentReport], packet_size: int, pipelined: bool
) -> None:
    requests = [report.request for report in sent]
    with collector.server.connect() as connection:
        if pipelined:
            send(connection, b"".join(requests), packet_size)
        for request, report in zip(requests, sent, strict=True):
            if not pipelined:
                send(connection, request, packet_size)
            assert_is(collector.assert_saved(connection.receive()), report)


def send(connection: RawConnection, data: bytes, packet_size: int) -> None:
    packet_size = max(packet_size, len(data) // 100)
    for start in range(0, len(data), packet_size):
        connection.send(data[start : start + packet_size])


def assert_is(crash: SavedCrash, sent: SentReport) -> None:
    expected = sent.expected
    assert {name: value for name, value in crash.raw_crash.items() if name not in ADDED} == {
        name: value for name, value in expected.annotations.items() if name not in ADDED
    }
    assert sorted(crash.dumps.values()) == sorted(content for _, content in expected.dumps)
    metadata = crash.raw_crash["metadata"]
    assert metadata["payload"] == expected.payload
    assert metadata["payload_compressed"] == ("1" if sent.is_gzipped else "0")
    assert metadata["payload_size"] == len(sent.body)
    assert metadata["user_agent"] == sent.user_agent
    assert set(metadata["collector_notes"]) >= set(expected.notes)
