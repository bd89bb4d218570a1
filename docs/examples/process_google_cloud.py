# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prints the crashes that wait on a subscription.

Usage: process_google_cloud.py PROJECT SUBSCRIPTION BUCKET
"""

import json
import sys

from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1, storage
from google.cloud.storage import Bucket

SKIP = "test"
WAIT_SECONDS = 3


def process(bucket: Bucket, crash_id: str) -> None:
    """Print everything that is stored of one crash."""

    def download(name: str) -> bytes:
        content: bytes = bucket.blob(name).download_as_bytes()
        return content

    raw_crash = json.loads(download(f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}"))
    print(crash_id, raw_crash.get("ProductName"), raw_crash["metadata"]["throttle_rule"])
    for name in json.loads(download(f"v1/dump_names/{crash_id}")):
        key = "dump" if name == "upload_file_minidump" else name
        dump = download(f"v1/{key}/{crash_id}")
        print(f"  {name}: {len(dump)} bytes")


def pull(subscriber: pubsub_v1.SubscriberClient, subscription: str) -> list[pubsub_v1.types.ReceivedMessage]:
    """Return the next ids. If none arrives in time, the list is empty."""
    try:
        answer = subscriber.pull(subscription=subscription, max_messages=10, timeout=WAIT_SECONDS, retry=None)
    except DeadlineExceeded:
        return []
    return list(answer.received_messages)


def main(project: str, subscription_name: str, bucket_name: str) -> None:
    """Process crashes until no further id arrives."""
    bucket = storage.Client(project).bucket(bucket_name)
    subscriber = pubsub_v1.SubscriberClient()
    subscription = subscriber.subscription_path(project, subscription_name)
    while items := pull(subscriber, subscription):
        for item in items:
            crash_id = item.message.data.decode()
            if crash_id != SKIP:
                process(bucket, crash_id)
            # The id is acknowledged last. If the program is interrupted, the id is delivered again.
            subscriber.acknowledge(subscription=subscription, ack_ids=[item.ack_id])


if __name__ == "__main__":
    main(*sys.argv[1:])
