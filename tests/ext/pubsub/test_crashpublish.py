# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crashes that are published at the same moment share a request, and each learns its own result."""

from collections import Counter

import gevent
import pytest

from antenna.backend import (
    BackendConfigurationError,
    BackendDenied,
    BackendError,
    CrashRefused,
    Deadline,
    NoAnswer,
)
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish
from tests.ext.conftest import OpenTopic
from tests.support.crashes import make_id
from tests.support.faulty import HANG, LOST_ANSWER, PASS, REFUSE, RESET, Fault, FaultyProxy
from tests.support.google_cloud import PubSubTopic, PulledMessage


def publish_together(publisher: PubSubCrashPublish, crash_ids: list[str]) -> list[Exception | None]:
    """Publish this many crashes at the same time. Return the result of each."""

    def publish(crash_id: str) -> Exception | None:
        try:
            publisher.publish_crash(crash_id, Deadline(10))
        except (BackendError, CrashRefused) as error:
            return error
        return None

    greenlets = [gevent.spawn(publish, crash_id) for crash_id in crash_ids]
    gevent.joinall(greenlets)
    return [greenlet.get() for greenlet in greenlets]


def make_ids(count: int) -> list[str]:
    return [make_id() for _ in range(count)]


def test_data_is_the_id_and_there_is_nothing_else(pubsub: PubSubCrashPublish, pubsub_topic: PubSubTopic) -> None:
    crash_id = make_id()
    pubsub.publish_crash(crash_id, Deadline(10))

    assert pubsub_topic.pull_messages() == [PulledMessage(crash_id.encode(), {})]


@pytest.mark.parametrize("written", ["http://{}", "http://{}/"])
def test_emulator_may_be_written_as_a_url(
    pubsub_topic: PubSubTopic,
    publish_proxy: FaultyProxy,
    open_topic: OpenTopic,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", written.format(publish_proxy.address))
    pubsub = open_topic(pubsub_topic.name)
    pubsub.publish_crash(crash_id := make_id(), Deadline(10))

    assert pubsub_topic.pull_all() == [crash_id]
    assert pubsub.place.endswith(f"/topics/{pubsub_topic.name} at http://{publish_proxy.address}")


def test_name_of_a_topic_is_quoted(
    pubsub_topic: PubSubTopic, publish_proxy: FaultyProxy, open_topic: OpenTopic
) -> None:
    publish_proxy.fault = Fault(status=404)

    with pytest.raises(BackendConfigurationError, match="topics/a%20b c"):
        open_topic("a%20b c").verify()

    (exchange,) = publish_proxy.exchanges
    assert exchange.request_line == f"POST /v1/projects/{pubsub_topic.project_id}/topics/a%2520b%20c:publish HTTP/1.1"


@pytest.mark.parametrize(("crashes", "at_most"), [(1, 1), (50, 5), (600, 10)])
def test_each_id_once_in_few_requests(
    pubsub: PubSubCrashPublish,
    pubsub_topic: PubSubTopic,
    publish_proxy: FaultyProxy,
    crashes: int,
    at_most: int,
) -> None:
    crash_ids = make_ids(crashes)

    assert publish_together(pubsub, crash_ids) == [None] * crashes
    assert len(publish_proxy.exchanges) <= at_most
    assert Counter(pubsub_topic.pull_all()) == Counter(crash_ids)


@pytest.mark.parametrize(("crashes", "requests"), [(500, 1), (501, 2)])
def test_a_request_takes_no_more_than_500(
    pubsub: PubSubCrashPublish,
    publish_proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    crashes: int,
    requests: int,
) -> None:
    # This is enough time for all of them to share one request.
    monkeypatch.setattr("antenna.ext.pubsub.crashpublish._LINGER", 0.5)

    assert publish_together(pubsub, make_ids(crashes)) == [None] * crashes
    assert len(publish_proxy.exchanges) == requests


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400), CrashRefused),
        (Fault(status=403), BackendDenied),
        (Fault(status=404), BackendDenied),
        (Fault(status=429), BackendError),
        (Fault(status=503), BackendError),
        (Fault(status=200, body=b"welcome"), BackendError),
        (Fault(status=200, body=b'{"messageIds": ["1", "2"]}'), BackendError),
        (Fault(status=200, body=b'{"messageIds": null}'), BackendError),
        (REFUSE, BackendError),
        (RESET, BackendError),
        (LOST_ANSWER, BackendError),
        (HANG, NoAnswer),
    ],
)
def test_when_a_request_fails_all_that_share_it_are_told(
    pubsub: PubSubCrashPublish,
    pubsub_topic: PubSubTopic,
    publish_proxy: FaultyProxy,
    fault: Fault,
    error: type[Exception],
) -> None:
    publish_proxy.fault = fault
    outcomes = publish_together(pubsub, make_ids(5))
    assert len(outcomes) == 5
    assert all(isinstance(outcome, error) for outcome in outcomes)
    assert all(isinstance(outcome, BackendDenied) == (error is BackendDenied) for outcome in outcomes)

    publish_proxy.reset()
    pubsub_topic.pull_all()
    crash_ids = make_ids(5)
    assert publish_together(pubsub, crash_ids) == [None] * 5
    assert set(crash_ids) <= set(pubsub_topic.pull_all())


def test_start_proves_that_the_topic_works(pubsub: PubSubCrashPublish, pubsub_topic: PubSubTopic) -> None:
    pubsub.verify()
    pubsub.check_health()

    assert pubsub_topic.pull_all() == ["test"]


def test_topic_that_is_not_there(open_topic: OpenTopic) -> None:
    publisher = open_topic("no-such-topic")

    with pytest.raises(BackendConfigurationError, match=r"projects/test/topics/no-such-topic.*404"):
        publisher.verify()
    with pytest.raises(BackendError, match="404"):
        publisher.check_health()


def test_topic_that_is_forbidden_or_away(pubsub: PubSubCrashPublish, publish_proxy: FaultyProxy) -> None:
    publish_proxy.fault = Fault(status=403)
    with pytest.raises(BackendConfigurationError, match="403"):
        pubsub.verify()

    for fault in (REFUSE, Fault(status=503)):
        publish_proxy.fault = fault
        with pytest.raises(BackendError):
            pubsub.verify()
        with pytest.raises(BackendError):
            pubsub.check_health()


def test_permission_to_publish_is_enough_to_be_healthy(
    pubsub: PubSubCrashPublish, pubsub_topic: PubSubTopic, publish_proxy: FaultyProxy
) -> None:
    publish_proxy.choose = lambda line: Fault(status=403) if line.startswith("GET") else PASS
    pubsub.check_health()
    assert pubsub_topic.pull_all() == ["test"]

    publish_proxy.choose = lambda _line: Fault(status=403)
    with pytest.raises(BackendDenied):
        pubsub.check_health()
