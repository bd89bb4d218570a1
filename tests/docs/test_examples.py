# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The worked examples do what the pages say."""

import json
import re
from pathlib import Path

import pytest

from antenna.config import build_config
from antenna.throttler import Throttler
from tests.docs.conftest import DOCS, EXAMPLES, run_example
from tests.support.captures import minidump
from tests.support.collector import CRASH_ID, Collector
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.reports import annotation, dump, report
from tests.support.server import google_cloud_environment

MINIDUMP = "tests/data/minidumps/built-linux.dmp"
STAND_IN = b"MDMP, and all other bytes of the minidump"


def request(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


def test_each_example_is_on_a_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.rst"))
    assert set(re.findall(r"literalinclude:: examples/(\S+)", text)) == {path.name for path in EXAMPLES.glob("*.*")}


def test_annotations_as_json(collector: Collector) -> None:
    crash = collector.assert_saved(collector.submit(request("json.http")))

    shown = json.loads(request("json.raw_crash.json"))
    assert CRASH_ID.fullmatch(shown["uuid"])
    assert crash.raw_crash == shown | {name: crash.raw_crash[name] for name in ("uuid", "submitted_timestamp")}
    assert crash.dumps == {"upload_file_minidump": STAND_IN}


def test_annotations_as_text(collector: Collector) -> None:
    crash = collector.assert_saved(collector.submit(request("key_value.http")))

    assert crash.raw_crash["ProductName"] == "Example"
    assert crash.raw_crash["Comments"] == "It crashed when I opened the café menu."
    assert crash.raw_crash["metadata"]["payload"] == "multipart"
    assert crash.notes == []
    assert crash.dumps == {"upload_file_minidump": STAND_IN}


def test_chunked_without_dump(collector: Collector) -> None:
    crash = collector.assert_saved(collector.submit(request("chunked.http")))

    assert crash.raw_crash["ProductName"] == "Example"
    assert crash.dumps == {}


def test_refused(collector: Collector) -> None:
    collector.assert_discarded(collector.submit(request("refused.http")), "malformed_bad_gzip")


@pytest.mark.parametrize("name", ["json.http", "key_value.http", "chunked.http", "refused.http"])
def test_requests_have_the_line_ends_of_the_wire(name: str) -> None:
    assert b"\n" not in request(name).replace(b"\r\n", b"")


def saved_by(collector: Collector, output: str) -> tuple[dict[str, str], bytes]:
    """Return annotations and minidump of the crash whose id the program has printed."""
    assert output.startswith("CrashID=bp-"), output
    crash_id = output.removeprefix("CrashID=bp-").strip()
    raw_crash = json.loads(collector.store.read(f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}"))
    return raw_crash, collector.store.read(f"v1/dump/{crash_id}")


def test_curl(collector: Collector) -> None:
    raw_crash, content = saved_by(collector, run_example("curl.sh", URL=f"{collector.server.url}/submit"))

    assert (raw_crash["ProductName"], raw_crash["Version"]) == ("Example", "1.0")
    assert content == minidump("built-linux")


def test_python(collector: Collector) -> None:
    output = run_example("client.py", f"{collector.server.url}/submit", MINIDUMP, "ProductName=Example", "Notes=a=b")

    raw_crash, content = saved_by(collector, output)
    assert (raw_crash["ProductName"], raw_crash["Notes"]) == ("Example", "a=b")
    assert content == minidump("built-linux")


def test_python_tells_why_a_report_is_refused(collector: Collector) -> None:
    output = run_example("client.py", f"{collector.server.url}/submit", MINIDUMP)
    assert output == "Discarded=malformed_no_annotations\n"


def test_processor_on_a_file_system(collector: Collector, directory: Path) -> None:
    collector.queue.pull_messages()
    answer = collector.submit(report(annotation("ProductName", "Example"), dump(b"MDMP"), dump(b"{}", "memory_report")))
    crash_id = collector.assert_kept(answer)

    arguments = ("process_directory.py", str(directory / "queue"), str(directory / "crashes"))
    assert run_example(*arguments) == (
        f"{crash_id} Example accept_everything\n  memory_report: 2 bytes\n  upload_file_minidump: 4 bytes\n"
    )
    assert run_example(*arguments) == ""


def test_processor_on_google_cloud(gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic, start_server: StartServer) -> None:
    environment = google_cloud_environment(gcs_bucket, pubsub_topic)
    server = start_server(environment)
    answer = server.send_raw(report(annotation("ProductName", "Example"), dump(b"MDMP")))
    crash_id = answer.text.removeprefix("CrashID=bp-").strip()

    output = run_example(
        "process_google_cloud.py",
        pubsub_topic.project_id,
        pubsub_topic.subscription_name,
        gcs_bucket.name,
        **{name: environment[name] for name in ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST")},
    )

    assert output == f"{crash_id} Example accept_everything\n  upload_file_minidump: 4 bytes\n"


def test_rules_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    throttler = Throttler(
        build_config({"RULES": "my_rules.RULES", "PRODUCTS": "my_rules.PRODUCTS"}),
    )

    def decide(**annotations: str) -> tuple[str, str]:
        result, rule, _ = throttler.throttle(annotations)
        return result.name, rule

    assert decide(ProductName="Firefox") == ("REJECT", "foreign_product")
    assert decide(ProductName="OurGame", ReleaseChannel="beta") == ("ACCEPT", "beta")
    assert decide(ProductName="OurGame")[1] == "sample"


def test_storage_of_ones_own(start_server: StartServer) -> None:
    server = start_server(
        {
            "PYTHONPATH": str(EXAMPLES),
            "BREAKPAD_THROTTLER_RULES": "antenna.throttler.ACCEPT_ALL",
            "BREAKPAD_THROTTLER_PRODUCTS": "antenna.throttler.ALL_PRODUCTS",
            "CRASHMOVER_CRASHSTORAGE_CLASS": "my_storage.MemoryStorage",
            "CRASHMOVER_CRASHSTORAGE_MAX_SIZE": "1MB",
            "CRASHMOVER_SAVE_TIMEOUT": "0.2s",
        }
    )

    small = server.send_raw(report(annotation("ProductName", "Example"), dump(b"MDMP")))
    large = server.send_raw(report(annotation("ProductName", "Example"), dump(bytes(2_000_000))))

    assert (small.status, large.status) == (200, 503)
    assert large.headers["Retry-After"]


OFFICIAL_TOOLS = '{"enabled": true, "list": [{"name": "official-tools"}]}'


def throttler_of_file(name: str) -> Throttler:
    return Throttler(build_config({"RULES": str(EXAMPLES / name)}))


@pytest.mark.parametrize(
    ("crash", "verdict"),
    [
        ({"prod": "Firefox", "ver": "3.0"}, "REJECT foreign_product"),
        ({"prod": "OurGame", "ver": "3.0"}, "REJECT foreign_package"),
        ({"prod": "OurLauncher", "ver": "1.10.4"}, "REJECT old_version"),
        ({"prod": "OurLauncher", "ver": "2.0-rc1"}, "REJECT old_version"),
        ({"prod": "OurLauncher", "mods": '{"enabled": true, "list": [{"name": "x"}]}'}, "DEFER modified"),
        ({"prod": "OurLauncher", "mods": '{"enabled": true}'}, "DEFER modified"),
        (
            {
                "prod": "OurLauncher",
                "channel": "beta",
                "mods": '{"enabled": true, "list": [{"name": "official-tools"}]}',
            },
            "ACCEPT beta",
        ),
        ({"prod": "OurLauncher", "ver": "2.0", "channel": "beta"}, "ACCEPT beta"),
        (
            {"prod": "OurGame", "Android_PackageName": "com.example.ourgame", "client_id": "chosen 1"},
            "ACCEPT sample",
        ),
        ({"prod": "OurGame", "Android_PackageName": "com.example.ourgame", "client_id": "chosen 2"}, "DEFER sample"),
    ],
)
def test_rules_of_a_game(crash: dict[str, str], verdict: str) -> None:
    result, rule, _ = throttler_of_file("game.toml").throttle(crash)

    assert f"{result.name} {rule}" == verdict


def test_what_the_rules_of_a_game_do_besides() -> None:
    throttler = throttler_of_file("game.toml")

    assert throttler.judge({"prod": "OurLauncher", "ver": "1.0"}).stop_sending
    assert throttler.judge({"prod": "OurLauncher", "channel": "beta"}).remove == ("tester_name",)
    crashes = [throttler.throttle({"prod": "OurLauncher", "channel": "beta"})[1] for _ in range(400)]
    assert crashes.count("over_quota") >= 100


@pytest.mark.parametrize(
    ("crash", "verdict"),
    [
        ({"_productName": "Our Editor", "prod": "Electron", "_version": "1.2.0"}, "ACCEPT everything_else"),
        ({"prod": "Electron", "_version": "1.2.0"}, "REJECT foreign_product"),
        ({"_productName": "Our Editor", "_version": "0.0.0-dev.5"}, "REJECT development"),
        ({"_productName": "Our Editor", "process_type": "browser"}, "ACCEPT main_process"),
        ({"_productName": "Our Editor", "ptype": "gpu-process", "platform": "linux"}, "ACCEPT everything_else"),
    ],
)
def test_rules_of_an_electron_application(crash: dict[str, str], verdict: str) -> None:
    result, rule, _ = throttler_of_file("electron.toml").throttle(crash)

    assert f"{result.name} {rule}" == verdict


def test_drivers_of_an_electron_application_are_sampled() -> None:
    throttler = throttler_of_file("electron.toml")

    assert throttler.throttle({"_productName": "Our Editor", "ptype": "gpu-process", "platform": "win32"})[1:] == (
        "gpu_on_windows",
        10,
    )
