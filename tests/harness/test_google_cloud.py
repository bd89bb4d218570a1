# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The emulators return the objects and messages that were put into them, and so do the helpers."""

import base64

import pytest
import requests

from tests.support.google_cloud import GcsBucket, PubSubTopic, PulledMessage


def upload(bucket: GcsBucket, name: str, content: bytes) -> None:
    requests.post(
        f"{bucket.emulator_url}/upload/storage/v1/b/{bucket.name}/o",
        params={"uploadType": "media", "name": name},
        data=content,
        headers={"Content-Type": "application/json"},
        timeout=10,
    ).raise_for_status()


def publish(topic: PubSubTopic, data: bytes, **attributes: str) -> None:
    requests.post(
        f"http://{topic.emulator_host}/v1/projects/{topic.project_id}/topics/{topic.name}:publish",
        json={"messages": [{"data": base64.b64encode(data).decode(), "attributes": attributes}]},
        timeout=10,
    ).raise_for_status()


def test_bucket_starts_empty_and_shows_objects_as_they_were_put(gcs_bucket: GcsBucket) -> None:
    assert gcs_bucket.object_names() == []

    upload(gcs_bucket, "v1/b", b"\x00\xff")
    upload(gcs_bucket, "v1/a", b'{"a": 1}')

    assert gcs_bucket.object_names() == ["v1/a", "v1/b"]
    assert gcs_bucket.object_names(prefix="v1/b") == ["v1/b"]
    assert gcs_bucket.read("v1/b") == b"\x00\xff"
    assert gcs_bucket.read_json("v1/a") == {"a": 1}
    assert gcs_bucket.content_type("v1/a") == "application/json"


def test_reading_an_object_that_is_not_there_fails(gcs_bucket: GcsBucket) -> None:
    with pytest.raises(requests.HTTPError):
        gcs_bucket.read("nothing")


def test_topic_gives_each_message_once(pubsub_topic: PubSubTopic) -> None:
    assert pubsub_topic.pull_all() == []

    for data in (b"test", b"first", b"second"):
        publish(pubsub_topic, data)
    assert sorted(pubsub_topic.pull_crash_ids()) == ["first", "second"]
    assert pubsub_topic.pull_all() == []

    publish(pubsub_topic, b"third", colour="red")
    assert pubsub_topic.pull_messages() == [PulledMessage(b"third", {"colour": "red"})]
