# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the emulators' buckets and topics over plain HTTP, so that no client library is trusted on both sides."""

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

TIMEOUT_SECONDS = 10


def _session() -> requests.Session:
    """Return a session for an emulator, which needs no proxy and no password.

    Looking for them, in the environment and in files, would take half of the time of each request.
    """
    session = requests.Session()
    session.trust_env = False
    return session


class GcsBucket:
    """A bucket that one test has to itself.

    https://cloud.google.com/storage/docs/json_api/v1
    """

    def __init__(self, emulator_url: str) -> None:
        """Make the bucket in the emulator at ``emulator_url``."""
        self.emulator_url = emulator_url
        self._session = _session()
        self.name = f"crashes-{uuid.uuid4().hex}"
        self._objects_url = f"{emulator_url}/storage/v1/b/{self.name}/o"
        answer = self._session.post(
            f"{emulator_url}/storage/v1/b",
            params={"project": "test"},
            json={"name": self.name},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()

    def object_names(self, prefix: str = "") -> list[str]:
        """Return the names of all objects, sorted."""
        names: list[str] = []
        page_token = ""
        while True:
            page = self._get(self._objects_url, prefix=prefix, pageToken=page_token).json()
            names += [item["name"] for item in page.get("items", [])]
            page_token = page.get("nextPageToken", "")
            if not page_token:
                return sorted(names)

    def read(self, object_name: str) -> bytes:
        """Return the bytes of an object. Raises requests.HTTPError if there is no object of that name."""
        return self._get(self._object_url(object_name), alt="media").content

    def read_json(self, object_name: str) -> Any:
        """Return what the JSON of an object says. Raises as ``read`` does."""
        return json.loads(self.read(object_name))

    def content_type(self, object_name: str) -> str:
        """Return the content type of an object. Raises as ``read`` does."""
        content_type: str = self._get(self._object_url(object_name)).json()["contentType"]
        return content_type

    def put(self, object_name: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        """Store an object."""
        self._session.post(
            f"{self.emulator_url}/upload/storage/v1/b/{self.name}/o",
            params={"uploadType": "media", "name": object_name},
            data=content,
            headers={"Content-Type": content_type},
            timeout=TIMEOUT_SECONDS,
        ).raise_for_status()

    def _object_url(self, object_name: str) -> str:
        return f"{self._objects_url}/{quote(object_name, safe='')}"

    def _get(self, url: str, **parameters: str) -> requests.Response:
        answer = self._session.get(url, params=parameters, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer


@dataclass(frozen=True)
class PulledMessage:
    """A message as a subscriber gets it."""

    data: bytes
    attributes: dict[str, str]


class PubSubTopic:
    """A topic that one test has to itself, with one subscription that gets everything that is published.

    https://cloud.google.com/pubsub/docs/reference/rest
    """

    def __init__(self, emulator_host: str, project_id: str = "test") -> None:
        """Make topic and subscription in the emulator at ``emulator_host`` (host and port)."""
        self.emulator_host = emulator_host
        self._session = _session()
        self.project_id = project_id
        self.name = f"crash-ids-{uuid.uuid4().hex}"
        self.subscription_name = self.name
        self._project_url = f"http://{emulator_host}/v1/projects/{project_id}"
        self._subscription_url = f"{self._project_url}/subscriptions/{self.subscription_name}"
        self._call("PUT", f"{self._project_url}/topics/{self.name}")
        self._call("PUT", self._subscription_url, topic=f"projects/{project_id}/topics/{self.name}")

    def publish(self, data: str) -> None:
        """Publish a message."""
        message = {"data": base64.b64encode(data.encode()).decode()}
        self._call("POST", f"{self._project_url}/topics/{self.name}:publish", messages=[message])

    def pull_messages(self) -> list[PulledMessage]:
        """Return the messages published since the last call, in no order, and acknowledge them. Does not wait."""
        messages: list[PulledMessage] = []
        while True:
            answer = self._call("POST", f"{self._subscription_url}:pull", maxMessages=1000, returnImmediately=True)
            received = answer.get("receivedMessages", [])
            if not received:
                return messages
            self._call("POST", f"{self._subscription_url}:acknowledge", ackIds=[item["ackId"] for item in received])
            messages += [
                PulledMessage(base64.b64decode(message.get("data", "")), message.get("attributes", {}))
                for message in (item["message"] for item in received)
            ]

    def pull_all(self) -> list[str]:
        """Return the data of the messages that ``pull_messages`` returns."""
        return [message.data.decode() for message in self.pull_messages()]

    def pull_crash_ids(self) -> list[str]:
        """Return the data of the messages, without those whose data is ``test``.

        A collector may publish that to prove that the topic works.
        """
        return [data for data in self.pull_all() if data != "test"]

    def _call(self, method: str, url: str, **body: object) -> dict[str, Any]:
        answer = self._session.request(method, url, json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content
