# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``gcs.py`` and ``pubsub.py``: buckets, topics and subscriptions of Google Cloud, or of its emulators."""

import uuid
from pathlib import Path

import requests

from tests.bin.conftest import Result, run_shell
from tests.google_cloud import TIMEOUT_SECONDS, GcsBucket, PubSubTopic

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


def test_a_bucket_is_made_once(gcs_emulator: str) -> None:
    environment = {"STORAGE_EMULATOR_HOST": gcs_emulator, "GOOGLE_CLOUD_PROJECT": "test"}
    name = f"made-{uuid.uuid4().hex}"
    create = f"bin/gcs.py --bucket {name} create-bucket"
    result = run_shell(f"{create} && {create} && bin/gcs.py list-buckets", environment)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [f"bucket {name} created", f"bucket {name} is there already"]
    assert name in result.lines


def test_objects_are_listed_read_and_removed(gcs_bucket: GcsBucket, tmp_path: Path) -> None:
    environment = {
        "STORAGE_EMULATOR_HOST": gcs_bucket.emulator_url,
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": gcs_bucket.name,
    }

    def gcs(arguments: str) -> Result:
        return run_shell(f"bin/gcs.py {arguments}", environment)

    put_object(gcs_bucket, "v1/dump_names/ä b", b"[]")
    put_object(gcs_bucket, "v1/dump/x", b"MDMP")
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


def put_object(bucket: GcsBucket, name: str, content: bytes) -> None:
    requests.post(
        f"{bucket.emulator_url}/upload/storage/v1/b/{bucket.name}/o",
        params={"uploadType": "media", "name": name},
        data=content,
        headers={"Content-Type": "text/x-test"},
        timeout=TIMEOUT_SECONDS,
    ).raise_for_status()


def test_topics_and_subscriptions_are_made_once(pubsub_emulator: str) -> None:
    topic = f"made-{uuid.uuid4().hex}"
    environment = {
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": topic,
    }
    result = run_shell("bin/pull_ids.py", environment)
    assert result.exit_code == 1
    assert f"{topic} has no subscription" in result.stderr
    create = "bin/pubsub.py create-topic && bin/pubsub.py create-subscription"
    result = run_shell(f"{create} {topic}-a && {create} {topic}-b && bin/pubsub.py list-subscriptions", environment)
    assert result.exit_code == 0, result.stderr
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()] == [
        "created",
        "created",
        "already",
        "created",
    ]
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
    # It does not count as one of those that were asked for.
    assert run_shell("bin/pull_ids.py --wait 0.1 --limit 1", environment).lines == [CRASH_ID]
    # What was looked at is given back.
    assert sorted(pubsub_topic.pull_all()) == [CRASH_ID, "test"]
