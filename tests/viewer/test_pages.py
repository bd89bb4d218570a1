# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The content of the pages. It stays text, whatever a crash says."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.minidump.test_files import OWN
from tests.support.captures import MINIDUMPS
from tests.support.minidumps import samples
from tests.support.minidumps.builder import DumpBuilder, ModuleSpec, ThreadSpec, elf_build_id
from tests.support.minidumps.contexts import context
from tests.support.symbols import filled_store, game_dump_bytes
from tests.support.viewer import RunningViewer, StoredCrashes
from tests.viewer.conftest import StartViewer, reading_in_process

pytestmark = pytest.mark.usefixtures("in_process")

HOSTILE = "<script>alert(1)</script>\"'><svg onload=alert(1)>&amp;{{7*7}}\u202etxt\u2066\x00\x1b\x7f\ud800"
#: Elements, and attributes, of the templates.
ELEMENTS = {
    "html", "head", "meta", "title", "link", "body", "header", "nav", "a", "form", "input", "button", "main", "h1",
    "h2", "label", "select", "option", "svg", "rect", "text", "div", "table", "thead", "tbody", "tr", "th", "td",
    "span", "bdi", "section", "p", "br", "details", "summary", "ul", "li", "code", "i", "textarea", "dl", "dt", "dd",
    "figure", "figcaption", "footer",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "rel", "href", "class", "action", "role", "type", "value", "placeholder",
    "aria-label", "selected", "viewbox", "x", "y", "width", "height", "title", "scope", "colspan", "method",
    "maxlength", "rows", "autocomplete", "required", "autofocus", "data-label", "preserveaspectratio", "aria-current",
}  # fmt: skip


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.content = ""
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        # What stands apart on the page.
        self.content += "" if tag in {"a", "bdi", "span"} else " "
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "action"}]

    def handle_data(self, data: str) -> None:
        self.content += data


def hostile_dump() -> bytes:
    text = HOSTILE.replace("\ud800", "").replace("\0", "")
    stack, registers = samples.stack_and_registers(samples.LINUX)
    builder = DumpBuilder()
    builder.system("Linux", "amd64", (0, 0, 0), text)
    frame = context("amd64", registers)
    builder.exception(1, 11, 1, 0x10, (), context=frame)
    builder.threads(
        [ThreadSpec(1, frame, samples.STACK, stack, text), ThreadSpec(2, frame, samples.STACK, stack, text)]
    )
    builder.modules([ModuleSpec(samples.APP, 0x80000, f"/opt/{text}", elf_build_id(samples.BUILD_ID))])
    builder.memory([(samples.STACK, stack)])
    builder.crashpad({text: text}, [(0, builder.module_annotations(lines=[text], simple={text: text}, objects=[]))])
    builder.stream(10, text.encode())
    builder.stream(0x47670006, text.encode())
    builder.stream(0x47670007, text.encode())
    return builder.build()


def hostile_annotations() -> dict[str, object]:
    names = (
        "ProductName", "Version", "ReleaseChannel", "BuildID", "ProcessType", "MozCrashReason", "AbortMessage",
        "Comments", "plat", "Email", "URL", "JavaStackTrace", "TopMostFilesAndLines", "AsyncShutdownTimeout", "Hang",
        HOSTILE,
    )  # fmt: skip
    return {**dict.fromkeys(names, HOSTILE), "Nested": {HOSTILE: [HOSTILE]}}


@pytest.mark.parametrize("dump", ["hostile", "none", "broken"])
def test_hostile_crashes_are_text_on_every_page(stored: StoredCrashes, start_viewer: StartViewer, dump: str) -> None:
    minidump = {"hostile": hostile_dump(), "none": None, "broken": HOSTILE.encode("utf-8", "replace")}[dump]
    crash_id = stored.add(hostile_annotations(), minidump, rule=HOSTILE, notes=(HOSTILE,))
    viewer = start_viewer()
    assert viewer.look() == 1
    (signature,) = viewer.app.consumer.index.database.execute("SELECT text FROM signatures").fetchone()
    query = f"/signature/?signature={_quote(signature)}"
    body = f"fixed_in={_quote(HOSTILE)}&note={_quote(HOSTILE)}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert viewer.client.simulate_post(query, body=body, headers=headers, host="127.0.0.1").status_code == 303

    chosen = "&".join(f"{name}={_quote(HOSTILE)}" for name in ("product", "version", "channel"))
    paths = ["/", f"/?{chosen}", query, f"/report/{crash_id}", "/symbols", "/status", "/search?q=alert"]
    for path in (*paths, f"/search?q={_quote(HOSTILE)}", f"/login?next={_quote(HOSTILE)}"):
        html = viewer.get(path)
        page = Page(html)
        assert page.elements <= ELEMENTS, path
        assert page.attributes <= ATTRIBUTES, path
        assert all(link.startswith(("/", "data:,")) for link in page.links), path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html), path
    assert "<script>alert(1)</script>" in Page(viewer.get("/")).text
    report = Page(viewer.get(f"/report/{crash_id}")).text
    assert report.count("<script>alert(1)</script>") > 15
    assert "\\u{202e}txt" in report
    missing = viewer.client.simulate_get(f"/report/{_quote(HOSTILE)}", host="127.0.0.1")
    assert missing.status_code == 404
    assert Page(missing.text).elements <= ELEMENTS


def _quote(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))


def test_no_page_may_run_or_load_anything(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({}, game_dump_bytes())
    viewer = start_viewer()
    viewer.look()
    paths = [
        "/",
        f"/report/{crash_id}",
        f"/report/{crash_id}/json",
        f"/report/{crash_id}/raw",
        "/static/viewer.css",
        "/x",
    ]
    for path in paths:
        headers = viewer.client.simulate_get(path, host="127.0.0.1").headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", OWN)
def test_the_ground_truth_of_own_dumps(stored: StoredCrashes, start_viewer: StartViewer, name: str) -> None:
    crash_id = stored.add({"ProductName": "Browser", "Version": "1.5"}, (MINIDUMPS / f"{name}.dmp").read_bytes())
    viewer = start_viewer()
    viewer.look()
    known, page = OWN[name], Page(viewer.get(f"/report/{crash_id}")).text

    top = known["top_frame"]
    assert isinstance(top, dict)
    for text in (
        "Browser 1.5 crashed with SIGSEGV",
        f"Reason {known['crash_reason']}",
        f"Address {known['crash_address']}",
        f"System Linux {str(known['os_version']).removeprefix('0.0.0 Linux ')} ",
        f"{known['thread_count']} threads",
        f"{known['module_count']} modules",
        f"Stack of thread {known['crashing_thread_index']}",
        f"{top['module']} + {top['offset']}",
    ):
        assert text in page, text
    found = viewer.get_json(f"/report/{crash_id}/json")["processed"]["dump"]
    assert {key: found[key] for key in known} == known


def test_the_report_with_symbols(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    stored.root.mkdir()
    filled_store(stored.root)
    crash_id = stored.add(
        {"ProductName": "App", "Version": "2"}, game_dump_bytes(), notes=("one note",), rule="my_rule"
    )
    viewer = start_viewer()
    viewer.look()
    html = viewer.get(f"/report/bp-{crash_id}")
    page = Page(html).text

    assert "App 2 crashed with SIGSEGV at 0x10 in World::tick(int), on the main thread, on Linux x86_64." in page
    assert "0 Vector::length() const MyApp /src/math.h:7 inline" in page
    assert "0 World::tick(int) MyApp /src/world.cpp:12 context" in page
    assert "1 Game::run() MyApp /src/world.cpp:30 cfi" in page
    assert "3 _start MyApp cfi" in page
    assert "one note" in page
    assert "my_rule" in page
    assert (
        viewer.client.simulate_get(f"/report/{crash_id}/dump/upload_file_minidump", host="127.0.0.1").content
        == game_dump_bytes()
    )
    assert viewer.get_json(f"/report/{crash_id}/raw")["uuid"] == crash_id
    assert viewer.client.simulate_get(f"/report/{crash_id}/dump/raw_crash", host="127.0.0.1").status_code == 404
    assert crash_id in viewer.get("/search?q=World::tick")
    found = viewer.client.simulate_get("/search", params={"q": f" bp-{crash_id} "}, host="127.0.0.1")
    assert found.headers["location"] == f"/report/{crash_id}"


def test_a_report_without_symbols_names_what_would_help(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({}, samples.crash())
    viewer = start_viewer()
    viewer.look()
    page = Page(viewer.get(f"/report/{crash_id}")).text
    assert "MyApp 030201000504070608090A0B0C0D0E0F0" in page
    assert "1 MyApp 030201000504070608090A0B0C0D0E0F0 MyApp" in Page(viewer.get("/symbols")).text


class TestTopCrashers:
    @pytest.fixture(scope="class")
    @classmethod
    def viewer(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
        viewer = RunningViewer(tmp_path_factory.mktemp("top"), VIEWER_SCAN_DAYS="20")
        beta = {"ProductName": "App", "Version": "1.10", "ReleaseChannel": "beta"}
        for days in (0, 0, 1, 9):
            viewer.crashes.add(beta, samples.crash(), days_ago=days)
        viewer.crashes.add({"ProductName": "App", "Version": "1.9"}, game_dump_bytes(), rule="sampled")
        with reading_in_process():
            viewer.look()
        yield viewer
        viewer.close()

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("", "4 crashes"),
            ("days=1", "3 crashes"),
            ("days=14", "5 crashes"),
            ("product=App&version=1.10", "3 crashes"),
            ("channel=beta&days=1", "2 crashes"),
            ("version=none", "No crash in the index matches this choice"),
            ("product=Other", "No crash in the index matches this choice"),
        ],
    )
    def test_choices(self, viewer: RunningViewer, query: str, text: str) -> None:
        assert text in Page(viewer.get(f"/?{query}")).text

    def test_what_stands_of_a_signature(self, viewer: RunningViewer) -> None:
        page = Page(viewer.get("/")).text
        assert re.search(r"1 MyApp\+0x1234 3 75\.0 % \+200 % [-0-9]+ [:0-9]+ in 1\.10 1\.10 Linux", page)
        assert re.search(r"2 MyApp\+0x1010 new 1 25\.0 %", page)
        assert "accept_everything (3), sampled (1)." in page
        assert "These numbers count the crashes that the collector kept" in page
        assert "back again" in Page(viewer.get("/?days=3")).text
        # The newest version comes first.
        assert page.index("1.10 (3)") < page.index("1.9 (1)")

    def test_rules_that_keep_a_sample(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        stored.add({"ProductName": "Firefox"}, rule="is_firefox_desktop")
        for rules, note in (
            ("antenna.throttler.MOZILLA_RULES", "is_firefox_desktop (1, which keeps 10 %)."),
            ("antenna.throttler.ACCEPT_ALL", "is_firefox_desktop (1)."),
            ("nowhere.RULES", "is_firefox_desktop (1)."),
        ):
            viewer = start_viewer(BREAKPAD_THROTTLER_RULES=rules)
            viewer.look()
            assert note in Page(viewer.get("/")).text

    @pytest.mark.parametrize("days", ["0", "x", "-1", "99999"])
    def test_periods_that_are_none(self, viewer: RunningViewer, days: str) -> None:
        assert viewer.client.simulate_get(f"/?days={days}", host="127.0.0.1").status_code == 400

    def test_a_signature_that_came_back(self, viewer: RunningViewer) -> None:
        path = "/signature/?signature=MyApp%2B0x1234"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for fixed_in, mark in (("1.11", "fixed in 1.11"), ("1.10", "came back"), ("", "open")):
            viewer.client.simulate_post(path, body=f"fixed_in={fixed_in}&note=", headers=headers, host="127.0.0.1")
            assert mark in Page(viewer.get(path)).text
            assert mark in Page(viewer.get("/")).text or mark == "open"
        page = Page(viewer.get(path)).text
        assert "4 crashes" in page
        assert "1.10 4 100 %" in page


@pytest.mark.parametrize("path", ["/", "/static/viewer.css", "/report/{}/dump/upload_file_minidump", "/none"])
def test_head_is_answered_like_get_without_the_content(
    stored: StoredCrashes, start_viewer: StartViewer, path: str
) -> None:
    crash_id = stored.add({}, game_dump_bytes())
    client = start_viewer().client
    head, get = (client.simulate_request(method, path.format(crash_id), host="127.0.0.1") for method in ("HEAD", "GET"))

    assert head.status == get.status
    assert head.headers == get.headers
    assert get.content
    assert not head.content


def test_code_that_a_signal_interrupted_is_marked(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    viewer = start_viewer()
    crash_id = stored.add({}, samples.interrupted_builder().build())
    viewer.look()
    page = Page(viewer.get(f"/report/{crash_id}"))

    assert page.text.count("interrupted by a signal") == 1
    assert "System Linux 6.1.0 " in page.text


def test_an_empty_viewer_says_so(start_viewer: StartViewer) -> None:
    viewer = start_viewer()
    viewer.look()
    assert "No crash is in the index yet" in viewer.get("/")
    assert "None: each module" in viewer.get("/symbols")
    assert "No crash has these words." in viewer.get("/search?q=word")
    assert "storage" in viewer.get("/status")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [("application/json", "[]", 415), ("", "", 415), ("application/x-www-form-urlencoded", "x" * 70_000, 413)],
)
def test_forms_that_are_none(empty_viewer: RunningViewer, content_type: str, body: str, status: int) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert (
        empty_viewer.client.simulate_post("/login", body=body, headers=headers, host="127.0.0.1").status_code == status
    )
