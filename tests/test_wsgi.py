# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The web server imports little.

Google's clients are for tools, and would take 25 MiB of each worker. Prometheus' library is imported only where
somebody may ask for its metrics, and Sentry's where there is a DSN.
"""

import os
import subprocess
import sys

from tests.support.server import PROJECT_ROOT

HEAVY = (
    "google.cloud",
    "google.pubsub_v1",
    "google.protobuf",
    "google.api_core",
    "grpc",
    "prometheus_client",
    "requests",
    "sentry_sdk",
    "symbolic",
)

PROGRAM = f"""
import gevent.monkey
gevent.monkey.patch_all()
import sys
import antenna.wsgi
loaded = set(sys.modules)
print(*(name for name in {HEAVY!r} if name in loaded or any(module.startswith(name + ".") for module in loaded)))
"""


def test_collector_on_google_cloud_does_without_heavy_libraries() -> None:
    environment = {
        **os.environ,
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": "crashes",
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": "crash-ids",
    }
    for name in ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "ADMIN_PORT", "SECRET_SENTRY_DSN"):
        environment.pop(name, None)

    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].split() == []
