# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the bucket, the topic and the subscription of the local environment in the emulators of Google Cloud.

What is there already stays as it is. Reads the same environment variables as the collector, and
``PUBSUB_SUBSCRIPTION_NAME``.
"""

import json
import os
import sys
import urllib.error
import urllib.request

HTTP_CONFLICT = 409


def make(what: str, method: str, url: str, definition: dict[str, str]) -> None:
    """Ask an emulator to make something; that it exists is as good. Raises ``OSError``."""
    request = urllib.request.Request(
        url, json.dumps(definition).encode("utf-8"), {"Content-Type": "application/json"}, method=method
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        if error.code != HTTP_CONFLICT:
            raise
        print(f"{what} is there already")
    else:
        print(f"{what} made")


def main() -> int:
    """Make all of them. Returns the exit code."""
    storage = os.environ["STORAGE_EMULATOR_HOST"]
    pubsub = f"http://{os.environ['PUBSUB_EMULATOR_HOST']}/v1"
    bucket = os.environ["CRASHMOVER_CRASHSTORAGE_BUCKET_NAME"]
    project = f"projects/{os.environ['CRASHMOVER_CRASHPUBLISH_PROJECT_ID']}"
    topic = f"{project}/topics/{os.environ['CRASHMOVER_CRASHPUBLISH_TOPIC_NAME']}"
    subscription = f"{project}/subscriptions/{os.environ['PUBSUB_SUBSCRIPTION_NAME']}"
    try:
        make(f"bucket {bucket}", "POST", f"{storage}/storage/v1/b?project=local", {"name": bucket})
        make(f"topic {topic}", "PUT", f"{pubsub}/{topic}", {})
        make(f"subscription {subscription}", "PUT", f"{pubsub}/{subscription}", {"topic": topic})
    except OSError as error:
        print(f"cannot set up the emulators: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
