# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The backends that the collector saves to and publishes on: the sinks, or the real emulators."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.bench.books import Bookkeeper, Books
from tests.bench.cases import Case
from tests.bench.processes import cpu_seconds
from tests.support.certificates import make_certificate
from tests.support.emulators import running_gcs, running_pubsub
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.programs import Program, free_port
from tests.support.server import PROJECT_ROOT

STORAGE = "storage"
PUBSUB = "pubsub"


@dataclass(frozen=True)
class Backends:
    """Running backends."""

    sinks: Program
    sinks_port: int
    #: The port for TLS, and the certificate that shows up there. None: the collector does without TLS.
    tls: tuple[int, Path] | None
    #: None: the sinks take what is saved.
    bucket: GcsBucket | None
    #: None: the sinks take what is published.
    topic: PubSubTopic | None

    @property
    def environment(self) -> dict[str, str]:
        """The collector's options."""
        url = f"http://127.0.0.1:{self.sinks_port}"
        trusted = {}
        if self.tls is not None:
            port, certificate = self.tls
            # The certificate is for this name.
            url = f"https://localhost:{port}"
            trusted["SSL_CERT_FILE"] = str(certificate)
        return {
            **trusted,
            "STORAGE_EMULATOR_HOST": self.bucket.emulator_url if self.bucket else url,
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": self.bucket.name if self.bucket else "crashes",
            "PUBSUB_EMULATOR_HOST": self.topic.emulator_host if self.topic else url,
            "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
            "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": self.topic.project_id if self.topic else "test",
            "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": self.topic.name if self.topic else "crash-ids",
        }

    def cpu_seconds(self) -> float:
        """Return the CPU time of the sinks so far."""
        return cpu_seconds(self.sinks.pid)

    def books(self) -> Books:
        """Return what arrived. To be asked once."""
        books = Books(**requests.get(f"http://127.0.0.1:{self.sinks_port}/books", timeout=60).json())
        if self.bucket:
            stored = _stored(self.bucket)
            books = dataclasses.replace(books, saved=stored.saved, partial=stored.partial)
        if self.topic:
            books = dataclasses.replace(books, published=self.topic.pull_crash_ids())
        return books


@contextmanager
def running_backends(case: Case, emulators: list[str], directory: Path) -> Iterator[Backends]:
    """Start the sinks with the latencies of ``case``, and the ``emulators`` that replace one sink or both.

    Raises EmulatorMissingError.
    """
    port = free_port()
    latencies = [str(case.storage_latency), str(case.publish_latency)]
    with ExitStack() as started:
        bucket = topic = None
        if STORAGE in emulators:
            bucket = GcsBucket(started.enter_context(running_gcs(directory)))
        if PUBSUB in emulators:
            topic = PubSubTopic(started.enter_context(running_pubsub(directory)))
        tls = (free_port(), make_certificate(directory, "localhost")) if case.over_tls else None
        sinks = Program(
            [sys.executable, "-m", "tests.bench.sinks", str(port), *latencies, *map(str, tls or ())],
            log_file=directory / "sinks.log",
            directory=PROJECT_ROOT,
        )
        started.callback(sinks.kill)
        sinks.wait_until(lambda: _answers(port))
        yield Backends(sinks, port, tls, bucket, topic)


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/books", timeout=5).ok
    except requests.ConnectionError:
        return False


def _stored(bucket: GcsBucket) -> Books:
    """Return the books of an emulator's bucket. They do not have the order of the objects."""
    keeper = Bookkeeper()
    url = f"{bucket.emulator_url}/storage/v1/b/{bucket.name}/o"
    page_token = ""
    while True:
        page = requests.get(url, params={"pageToken": page_token}, timeout=60).json()
        for item in page.get("items", []):
            content = bucket.read(item["name"]) if "/dump_names/" in item["name"] else b""
            keeper.uploaded(item["name"], item["crc32c"], content)
        page_token = page.get("nextPageToken", "")
        if not page_token:
            return keeper.close()
