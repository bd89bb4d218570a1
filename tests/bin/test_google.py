# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``gcs.py`` and ``pubsub.py``: buckets, topics and subscriptions of Google Cloud, or of its emulators."""

import base64
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.crashes import make_id
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.tools import Result, run_shell

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


def test_a_bucket_is_made_once(gcs_emulator: str) -> None:
    environment = {"STORAGE_EMULATOR_HOST": gcs_emulator, "GOOGLE_CLOUD_PROJECT": "test"}
    name = f"made-{uuid.uuid4().hex}"
    for outcome in ("created", "is there already"):
        result = run_shell(f"bin/gcs.py --bucket {name} create-bucket", environment)
        assert (result.exit_code, result.stderr) == (0, f"bucket {name} {outcome}\n")
    assert name in run_shell("bin/gcs.py list-buckets", environment).lines


def test_objects_are_listed_read_and_removed(gcs_bucket: GcsBucket, tmp_path: Path) -> None:
    environment = {
        "STORAGE_EMULATOR_HOST": gcs_bucket.emulator_url,
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": gcs_bucket.name,
    }

    def gcs(arguments: str) -> Result:
        return run_shell(f"bin/gcs.py {arguments}", environment)

    gcs_bucket.put("v1/dump_names/ä b", b"[]", "text/x-test")
    gcs_bucket.put("v1/dump/x", b"MDMP", "text/x-test")
    assert gcs("list-objects").lines == ["v1/dump/x", "v1/dump_names/ä b"]
    (description,) = gcs("list-objects v1/dump/ --json").objects
    assert description.items() >= {"name": "v1/dump/x", "size": 4, "content_type": "text/x-test"}.items()
    assert gcs("get-object 'v1/dump_names/ä b'").stdout == "[]"
    assert gcs(f"get-object v1/dump/x --output {tmp_path}/crash.dmp").exit_code == 0
    assert (tmp_path / "crash.dmp").read_bytes() == b"MDMP"
    assert gcs("remove-object v1/dump/x").exit_code == 0
    missing = gcs("get-object v1/dump/x")
    assert missing.exit_code == 1
    assert "status 404" in missing.stderr


def test_topics_and_subscriptions_are_made_once(pubsub_emulator: str) -> None:
    topic = f"made-{uuid.uuid4().hex}"
    environment = {
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": topic,
    }

    def made(command: str) -> str:
        result = run_shell(f"bin/pubsub.py {command}", environment)
        assert result.exit_code == 0, result.stderr
        return result.stderr.rpartition(" ")[2]

    assert made("create-topic") == "created\n"
    result = run_shell("bin/pull_ids.py", environment)
    assert result.exit_code == 1
    assert f"{topic} has no subscription" in result.stderr
    assert made(f"create-subscription {topic}-a") == "created\n"
    assert made("create-topic") == made(f"create-subscription {topic}-a") == "already\n"
    assert made(f"create-subscription {topic}-b") == "created\n"
    result = run_shell("bin/pubsub.py list-subscriptions", environment)
    assert {f"{topic}-a\t{topic}", f"{topic}-b\t{topic}"} <= set(result.lines)
    result = run_shell("bin/pubsub.py list-topics --json", environment)
    assert {"name": f"projects/test/topics/{topic}"} in result.objects
    result = run_shell("bin/pull_ids.py", environment)
    assert f"several subscriptions: name one with --subscription: {topic}-a, {topic}-b" in result.stderr


def test_ids_are_published_and_pulled_without_the_test_message(pubsub_topic: PubSubTopic) -> None:
    environment = {
        "PUBSUB_EMULATOR_HOST": pubsub_topic.emulator_host,
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": pubsub_topic.project_id,
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": pubsub_topic.name,
    }
    assert run_shell(f"bin/pubsub.py publish test bp-{CRASH_ID}", environment).exit_code == 0
    result = run_shell("bin/pull_ids.py --wait 0.1", environment)
    assert result.lines == [CRASH_ID]
    assert result.stderr == "not a crash id: 'test'\n"
    # It does not count towards the limit. Here, Google's clients are imported by a process that gevent has patched.
    assert run_shell("bin/pull_ids.py --wait 0.1 --limit 1", environment, by_itself=True).lines == [CRASH_ID]
    # The messages that were looked at are released.
    assert sorted(pubsub_topic.pull_all()) == [CRASH_ID, "test"]


class ShortDeadlines(HTTPServer):
    """A subscription that delivers a message again 0.3 s after its delivery, unless its deadline is extended."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ids = [make_id() for _ in range(1000)]
        self.waiting = dict.fromkeys(self.ids, 0.0)
        """The time from which each message can be delivered."""
        self.deliveries: Counter[str] = Counter()
        self.pause = 0.0
        """Seconds that each pull takes."""
        self.forgetful = False
        """Whether the first messages are delivered again although their deadlines were extended."""

    def pull(self, request: dict[str, Any]) -> dict[str, Any]:
        time.sleep(self.pause)
        now = time.monotonic()
        first = [crash_id for crash_id in self.ids[:100] if self.forgetful and self.deliveries[crash_id] == 1]
        due = [crash_id for crash_id, then in self.waiting.items() if then <= now]
        chosen = (first + due)[: request["maxMessages"]]
        self.deliveries.update(chosen)
        self.waiting.update(dict.fromkeys(chosen, now + 0.3))
        return {"receivedMessages": [self.message(crash_id) for crash_id in chosen]}

    def message(self, crash_id: str) -> dict[str, Any]:
        data = base64.b64encode(crash_id.encode()).decode()
        message = {"messageId": crash_id, "data": data, "publishTime": "2026-11-22T00:00:00Z"}
        return {"ackId": f"{crash_id} {self.deliveries[crash_id]}", "message": message}

    def modify_ack_deadline(self, request: dict[str, Any]) -> dict[str, Any]:
        then = time.monotonic() + request.get("ackDeadlineSeconds", 0)
        self.waiting.update({crash_id: then for crash_id in self.valid(request) if crash_id in self.waiting})
        return {}

    def acknowledge(self, request: dict[str, Any]) -> dict[str, Any]:
        for crash_id in self.valid(request):
            self.waiting.pop(crash_id, None)
        return {}

    def valid(self, request: dict[str, Any]) -> list[str]:
        """Return the ids of the messages in a request, without those that were delivered again since."""
        handles = [ack_id.split() for ack_id in request["ackIds"]]
        return [crash_id for crash_id, delivery in handles if int(delivery) == self.deliveries[crash_id]]


class _Handler(BaseHTTPRequestHandler):
    server: ShortDeadlines

    def do_POST(self) -> None:
        verb = {
            "pull": self.server.pull,
            "acknowledge": self.server.acknowledge,
            "modifyAckDeadline": self.server.modify_ack_deadline,
        }[urlsplit(self.path).path.rpartition(":")[2]]
        answer = json.dumps(verb(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def short_deadlines() -> Iterator[ShortDeadlines]:
    with ShortDeadlines() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pull_ids(server: ShortDeadlines, arguments: str = "") -> Result:
    """Run the program with leases of a second."""
    environment = {
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{server.server_port}",
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": "test",
    }
    return run_shell(f"tests/bin/short_leases.py --subscription test --wait 0.1 {arguments}", environment)


def test_all_ids_are_printed_however_long_it_takes(short_deadlines: ShortDeadlines) -> None:
    short_deadlines.pause = 0.15

    result = pull_ids(short_deadlines)

    assert result.exit_code == 0, result.stderr
    assert result.lines == short_deadlines.ids
    # No other subscriber could have received a message meanwhile.
    assert set(short_deadlines.deliveries.values()) == {1}
    assert max(short_deadlines.waiting.values()) <= time.monotonic()


@pytest.mark.parametrize(("arguments", "left"), [("", 1000), ("--ack", 0)])
def test_ids_that_come_again_are_printed_once(short_deadlines: ShortDeadlines, arguments: str, left: int) -> None:
    short_deadlines.forgetful = True

    result = pull_ids(short_deadlines, arguments)

    assert result.exit_code == 0, result.stderr
    assert result.lines == short_deadlines.ids
    assert short_deadlines.deliveries[short_deadlines.ids[0]] == 2
    assert len(short_deadlines.waiting) == left
