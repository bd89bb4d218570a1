# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The collector as operators run it: ``bin/run_web.sh`` and an environment."""

import os
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.programs import Program, free_port
from tests.support.raw_http import RawConnection, RawResponse, exchange

PROJECT_ROOT = Path(__file__).parents[2]

# Variables that a program needs from the environment of the tests. Options are left out, so they do not reach the
# collector.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL")

HEARTBEAT = b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

ACCEPT_EVERYTHING = {
    "BREAKPAD_THROTTLER_RULES": "antenna.throttler.ACCEPT_ALL",
    "BREAKPAD_THROTTLER_PRODUCTS": "antenna.throttler.ALL_PRODUCTS",
}


def file_system_environment(directory: Path) -> dict[str, str]:
    """Return an environment that accepts every crash. Crashes go to ``crashes`` in ``directory``, ids to ``queue``."""
    return ACCEPT_EVERYTHING | {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(directory / "crashes"),
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.fs.crashpublish.FSCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_FS_ROOT": str(directory / "queue"),
    }


def google_cloud_environment(bucket: GcsBucket, topic: PubSubTopic) -> dict[str, str]:
    """Return an environment that accepts every crash. Crashes go to ``bucket``, and ids to ``topic``."""
    return ACCEPT_EVERYTHING | {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": bucket.name,
        "STORAGE_EMULATOR_HOST": bucket.emulator_url,
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": topic.project_id,
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": topic.name,
        "PUBSUB_EMULATOR_HOST": topic.emulator_host,
    }


class AntennaServer(Program):
    """A running collector."""

    host = "127.0.0.1"

    def __init__(self, environment: Mapping[str, str], directory: Path, *, port: int | None = None) -> None:
        """Start a collector with ``environment`` alone. Its log is in ``directory``.

        This does not wait until it serves.
        """
        self.port = port or free_port()
        self.url = f"http://{self.host}:{self.port}"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        super().__init__(
            [str(PROJECT_ROOT / "bin" / "run_web.sh")],
            log_file=directory / f"server-{self.port}.log",
            environment={
                **inherited,
                "VIRTUAL_ENV": sys.prefix,
                "LISTEN_ADDRESS": self.host,
                "PORT": str(self.port),
                **environment,
            },
            directory=directory,
        )

    def wait_until_serving(self, seconds: float = 30.0) -> None:
        """Wait until the collector answers. Raises AssertionError with its log if it ends or takes longer."""
        self.wait_until(self.is_serving, seconds)

    def is_serving(self) -> bool:
        """Whether the collector answers the load balancer's heartbeat."""
        # Tests ask again and again while a collector starts. With requests, each refused connection takes 3 ms of CPU.
        try:
            return self.send_raw(HEARTBEAT, timeout_seconds=5).status == HTTPStatus.OK
        except (OSError, EOFError, AssertionError):  # there is no answer, or half of one
            return False

    def connect(self, timeout_seconds: float = 30.0) -> RawConnection:
        """Return a new connection to the collector."""
        return RawConnection(self.host, self.port, timeout_seconds)

    def send_raw(self, request: bytes, timeout_seconds: float = 30.0) -> RawResponse:
        """Send bytes on a new connection, and return the final answer. Raises as ``RawConnection.receive`` does."""
        return exchange(self.host, self.port, request, timeout_seconds)
