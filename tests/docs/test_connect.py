# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The lines to paste for crash reporters lead to crashes that are kept, with product and version."""

import gzip
import json
import plistlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antenna.crash.identity import identify
from tests.docs.conftest import DOCS
from tests.support.captures import MINIDUMPS, load_capture
from tests.support.collector import Collector, DirectoryQueue, DirectoryStore, SavedCrash
from tests.support.fixtures import StartNginx
from tests.support.reports import annotation, chunked, dump, multipart, post, report
from tests.support.server import AntennaServer, file_system_environment

PAGE = (DOCS / "connect.rst").read_text(encoding="utf-8")
URL = "https://crash-reports.example.com/submit"
MINIDUMP = MINIDUMPS / "built-linux.dmp"


def snippet(name: str) -> str:
    """Return the lines of the code block of the page that has this name."""
    match = re.search(rf"   :name: {re.escape(name)}\n\n((?:   .*\n|\n)+)", PAGE)
    assert match is not None, name
    return re.sub("^   ", "", match[1], flags=re.MULTILINE).strip()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with Mozilla's rules, which are the default, and the product of the page."""
    directory = tmp_path_factory.mktemp("connect")
    name, _, products = snippet("collector").partition("=")
    environment = file_system_environment(directory) | {"BREAKPAD_THROTTLER_RULES": "", name: products}
    server = AntennaServer(environment, directory)
    try:
        server.wait_until_serving()
        yield Collector(server, DirectoryStore(directory / "crashes"), DirectoryQueue(directory / "queue"))
    finally:
        server.kill()


def as_crashpad(annotations: dict[str, str], *dumps: bytes) -> bytes:
    """Return a request as Crashpad's upload thread makes it.

    Each annotation is a part, and files follow. The body is compressed and sent in chunks.
    """
    parts = [annotation(name, value) for name, value in sorted(annotations.items())]
    body = multipart(*parts, *dumps)
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked", "Content-Length": None}
    return post(chunked(gzip.compress(body), 4096), headers)


def assert_is_ours(crash: SavedCrash, product: str = "OurApp", version: str = "1.2.3") -> None:
    assert identify(crash.raw_crash, "product") == product
    assert identify(crash.raw_crash, "version") == version
    assert crash.dumps["upload_file_minidump"]


def pairs(code: str) -> dict[str, str]:
    """Return the pairs in the initialiser of a C++ map."""
    return dict(re.findall(r'\{L?"([^"]+)", L?"([^"]+)"\}', code))


def test_every_snippet_that_has_a_url_has_the_one_of_the_page() -> None:
    for url in re.findall(r"https://crash-reports[^\s\"'<,]*", PAGE):
        assert url.rstrip(".`") in {URL, "https://crash-reports.example.com", "https://crash-reports.example.com/1"}, (
            url
        )


def test_crashpad(collector: Collector) -> None:
    code = snippet("crashpad")
    assert f'"{URL}"' in code

    crash = collector.assert_saved(
        collector.submit(as_crashpad(pairs(code) | {"guid": "5e1286fc-da97-479e-918b-6bfb0c3d1c72"}, dump(b"MDMP")))
    )

    assert_is_ours(crash)
    assert identify(crash.raw_crash, "channel") == "beta"


def test_the_real_handler_of_chromium() -> None:
    # Tests of the running collector send the request of this capture, and those of Crashpad's own handlers.
    capture = load_capture("crashpad-chromium-real")

    assert capture.is_chunked
    assert capture.is_gzipped
    assert identify(capture.annotations, "product") == capture.annotations["prod"]
    assert identify(capture.annotations, "version") == capture.annotations["ver"]
    assert identify(capture.annotations, "process_type") == capture.annotations["ptype"]
    assert identify(capture.annotations, "platform") == capture.annotations["plat"]
    assert capture.annotations["guid"]


def electron_options(code: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+): '([^']+)'", code))


def test_electron(collector: Collector) -> None:
    options = electron_options(snippet("electron"))
    assert options["submitURL"] == URL
    # The payload as Electron's documentation of crashReporter describes it.
    payload = {
        "ver": "37.2.1",
        "platform": "win32",
        "process_type": "renderer",
        "ptype": "renderer",
        "guid": "5e1286fc-da97-479e-918b-6bfb0c3d1c72",
        "_version": "1.2.3",
        "_productName": options["productName"],
        "prod": "Electron",
        "channel": options["channel"],
    }

    crash = collector.assert_saved(collector.submit(as_crashpad(payload, dump(b"MDMP"))))

    assert_is_ours(crash)
    assert identify(crash.raw_crash, "process_type") == "renderer"
    assert identify(crash.raw_crash, "platform") == "win32"


def test_breakpad_on_linux(collector: Collector) -> None:
    _, *words = shlex.split(snippet("breakpad-linux-send"))
    assert words == ["-p", "OurApp", "-v", "1.2.3", "crash.dmp", URL]
    # The request of the same program for another product.
    head, _, body = load_capture("breakpad-linux-minidump_upload").request.partition(b"\r\n\r\n")
    for old, new in ((b"Firefox", b"OurApp"), (b"150.0", b"1.2.3")):
        assert body.count(b"\r\n%b\r\n" % old) == 1
        body = body.replace(b"\r\n%b\r\n" % old, b"\r\n%b\r\n" % new)
    head = re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(body), head)

    assert_is_ours(collector.assert_saved(collector.submit(head + b"\r\n\r\n" + body)))


def test_breakpad_on_windows(collector: Collector) -> None:
    code = snippet("breakpad-windows")
    assert f'L"{URL}"' in code

    parts = [annotation(name, value) for name, value in sorted(pairs(code).items())]
    assert_is_ours(collector.assert_saved(collector.submit(report(*parts, dump(b"MDMP")))))


def test_breakpad_on_macos(collector: Collector) -> None:
    keys = plistlib.loads(f'<plist version="1.0"><dict>{snippet("breakpad-macos")}</dict></plist>'.encode())
    assert keys["BreakpadURL"] == URL

    parts = [annotation("prod", keys["BreakpadProduct"]), annotation("ver", keys["BreakpadVersion"])]
    assert_is_ours(collector.assert_saved(collector.submit(report(*parts, dump(b"MDMP")))))


def test_sentry_native(tmp_path: Path, start_nginx: StartNginx) -> None:
    environment = file_system_environment(tmp_path)
    server = AntennaServer(environment, tmp_path)
    try:
        server.wait_until_serving()
        collector = Collector(server, DirectoryStore(tmp_path / "crashes"), DirectoryQueue(tmp_path / "queue"))
        lines = snippet("sentry-native-nginx")
        nginx = start_nginx(server.port, {"location = /submit {": f"{lines}\n location = /submit {{"})
        request = as_crashpad(
            {"guid": "5e1286fc-da97-479e-918b-6bfb0c3d1c72"},
            dump(b"\x81\xa5event", "__sentry-event"),
            dump(b"", "__sentry-breadcrumb1"),
            dump(b"MDMP"),
        )
        path = b"/api/1/minidump/?sentry_client=sentry.native/0.11.2&sentry_key=key"
        with nginx.connect() as connection:
            connection.send(request.replace(b"POST /submit ", b"POST " + path + b" ", 1))
            crash = collector.assert_saved(connection.receive())
        assert crash.dumps["upload_file_minidump"] == b"MDMP"
        assert crash.dumps["__sentryevent"] == b"\x81\xa5event"
    finally:
        server.kill()


@pytest.mark.parametrize("name", ["curl", "python"])
def test_snippet_that_is_a_program(collector: Collector, tmp_path: Path, name: str) -> None:
    (tmp_path / "crash.dmp").write_bytes(MINIDUMP.read_bytes())
    program = snippet(name).replace(URL, f"{collector.server.url}/submit")
    assert program != snippet(name)

    command = ["/bin/sh", "-c", program] if name == "curl" else [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout

    crash_id = answer.strip().removeprefix("CrashID=bp-")
    raw_crash = json.loads(collector.store.read(f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}"))
    assert (identify(raw_crash, "product"), identify(raw_crash, "version")) == ("OurApp", "1.2.3")
    assert collector.store.read(f"v1/dump/{crash_id}") == MINIDUMP.read_bytes()


def test_a_product_that_is_not_on_the_list(collector: Collector) -> None:
    collector.assert_discarded(collector.submit(report(annotation("prod", "Other"))), "rule_unsupported_product")
    assert "ProductName rejected: 'Other'" in collector.server.logs()
