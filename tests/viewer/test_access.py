# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Access to the pages: tokens, proxies, other sites, names that lead to this machine."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from falcon.testing import Result

from antenna.config import ConfigurationError
from antenna.viewer.app import ViewerApp
from tests.support.minidumps import samples
from tests.support.minidumps.everything import everything
from tests.support.viewer import RunningViewer, StoredCrashes
from tests.viewer.conftest import StartViewer, reading_in_process

pytestmark = pytest.mark.usefixtures("in_process")

TOKEN, PROTECTED, HEADER = "summary-token", "protected-token", "X-Forwarded-User"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nobody listens there in these tests
ELSEWHERE = {"VIEWER_LISTEN_ADDRESS": EVERYWHERE}
SECRETS = ("secret@example.com", "/home/user", "--profile secret", "a comment", "0x60000000", "terminating", "abort()")


def get(viewer: RunningViewer, path: str, headers: Mapping[str, str] | None = None, host: str = "127.0.0.1") -> Result:
    return viewer.client.simulate_get(path, headers=headers, host=host)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("address", [EVERYWHERE, "::", "192.0.2.1", "example.com"])
def test_other_addresses_need_a_token_or_a_header(start_viewer: StartViewer, address: str) -> None:
    with pytest.raises(ConfigurationError, match="VIEWER_TOKEN"):
        start_viewer(VIEWER_LISTEN_ADDRESS=address, VIEWER_PROTECTED_TOKEN=PROTECTED)
    start_viewer(VIEWER_LISTEN_ADDRESS=address, VIEWER_TOKEN=TOKEN)
    start_viewer(VIEWER_LISTEN_ADDRESS=address, VIEWER_TRUSTED_HEADER=HEADER)


NOTHING, SUMMARY, FULL = "nothing", "summary", "full"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A directory whose index has a crash that says everything, and its id."""
    directory = tmp_path_factory.mktemp("indexed")
    viewer = RunningViewer(directory)
    annotations = {"ProductName": "MyApp", "Email": "secret@example.com", "MozCrashReason": "harmless"}
    crash_id = viewer.crashes.add(annotations, everything(samples.LINUX), notes=("a note",))
    with reading_in_process():
        viewer.look()
    viewer.close()
    return directory, crash_id


@pytest.mark.parametrize(
    ("options", "headers", "level"),
    [
        ({}, {}, FULL),
        ({"VIEWER_PROTECTED_TOKEN": PROTECTED}, {}, SUMMARY),
        ({"VIEWER_PROTECTED_TOKEN": PROTECTED}, bearer(PROTECTED), FULL),
        ({"VIEWER_PROTECTED_TOKEN": PROTECTED}, bearer("wrong"), SUMMARY),
        ({"VIEWER_TOKEN": TOKEN}, {}, NOTHING),
        ({"VIEWER_TOKEN": TOKEN}, bearer("wrong"), NOTHING),
        ({"VIEWER_TOKEN": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, NOTHING),
        ({"VIEWER_TOKEN": TOKEN}, bearer(TOKEN), SUMMARY),
        ({"VIEWER_TOKEN": TOKEN, "VIEWER_PROTECTED_TOKEN": PROTECTED}, bearer(PROTECTED), FULL),
        ({**ELSEWHERE, "VIEWER_TOKEN": TOKEN}, bearer(TOKEN), SUMMARY),
        ({**ELSEWHERE, "VIEWER_TOKEN": TOKEN}, {}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TOKEN": TOKEN}, {"Cookie": f"antenna_viewer={TOKEN}"}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TOKEN": TOKEN}, {"Cookie": "antenna_viewer=\u00e9"}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TOKEN": TOKEN}, {HEADER: "somebody"}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TRUSTED_HEADER": HEADER}, {}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TRUSTED_HEADER": HEADER}, {HEADER: ""}, NOTHING),
        ({**ELSEWHERE, "VIEWER_TRUSTED_HEADER": HEADER}, {HEADER: "somebody"}, SUMMARY),
        (
            {**ELSEWHERE, "VIEWER_TRUSTED_HEADER": HEADER, "VIEWER_PROTECTED_TOKEN": PROTECTED},
            {HEADER: "somebody", **bearer(PROTECTED)},
            FULL,
        ),
        ({"VIEWER_TRUSTED_HEADER": HEADER}, {}, NOTHING),
        ({"VIEWER_TRUSTED_HEADER": HEADER}, {HEADER: "somebody"}, SUMMARY),
    ],
)
def test_levels(indexed: tuple[Path, str], options: dict[str, str], headers: dict[str, str], level: str) -> None:
    directory, crash_id = indexed
    viewer = RunningViewer(directory, **options)
    paths = [
        "/", "/signature/?signature=MyApp%2B0x1234", f"/report/{crash_id}", f"/report/{crash_id}/json", "/symbols",
        "/status", "/search?q=MyApp",
    ]  # fmt: skip
    downloads = [f"/report/{crash_id}/raw", f"/report/{crash_id}/dump/upload_file_minidump"]

    answers = [get(viewer, path, headers) for path in paths]
    if level == NOTHING:
        assert {answer.status_code for answer in answers} <= {303, 401, 403}
        assert not any("MyApp" in answer.text for answer in answers)
    else:
        assert {answer.status_code for answer in answers} == {200}
        assert "harmless" in answers[2].text
        shown = [secret for secret in SECRETS if secret in answers[2].text and secret in answers[3].text]
        assert shown == (list(SECRETS) if level == FULL else [])
        if level == SUMMARY:
            text = "".join(answer.text for answer in answers)
            assert [secret for secret in SECRETS if secret in text] == []
    assert {get(viewer, path, headers).status_code == 200 for path in downloads} == {level == FULL}
    viewer.close()


def test_searches_find_nothing_that_is_protected(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({"Email": "secret@example.com", "Team": "blue"}, everything(samples.LINUX))
    viewer = start_viewer(VIEWER_ANNOTATIONS="Team")
    viewer.look()
    assert crash_id in viewer.get("/search?q=blue")
    for word in ("secret", "HOME", "profile", "comment"):
        assert crash_id not in viewer.get(f"/search?q={word}")


def test_paths_of_files_are_protected(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({}, samples.crash(samples.WINDOWS))
    viewer = start_viewer(VIEWER_PROTECTED_TOKEN=PROTECTED)
    viewer.look()
    for path in (f"/report/{crash_id}", f"/report/{crash_id}/json", "/symbols"):
        assert "Program Files" not in viewer.get(path)
    assert "Program Files" in viewer.get(f"/report/{crash_id}/json", **bearer(PROTECTED))


class TestLogin:
    def log_in(self, viewer: RunningViewer, **fields: str) -> Result:
        body = "&".join(f"{name}={value}" for name, value in fields.items())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return viewer.client.simulate_post("/login", body=body, headers=headers, host="127.0.0.1")

    def test_a_token_is_changed_for_a_cookie(self, start_viewer: StartViewer) -> None:
        viewer = start_viewer(VIEWER_TOKEN=TOKEN)
        page = get(viewer, "/?days=30")
        assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2F%3Fdays%3D30")

        answer = self.log_in(viewer, token=TOKEN, next="%2F%3Fdays%3D30")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?days=30")
        cookie = answer.cookies["antenna_viewer"]
        assert cookie.http_only
        assert cookie.same_site == "Strict"
        assert TOKEN not in cookie.value
        assert get(viewer, "/", {"Cookie": f"antenna_viewer={cookie.value}"}).status_code == 200

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "%00", "%ff"])
    def test_other_tokens(self, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("antenna.viewer.resources.login.gevent.sleep", pauses.append)
        answer = self.log_in(start_viewer(VIEWER_TOKEN=TOKEN), token=token)
        assert (answer.status_code, answer.cookies) == (403, {})
        # Others in this process sleep as well, for 0 seconds.
        assert [pause for pause in pauses if pause] == [1.0]

    @pytest.mark.parametrize(
        "target",
        ["//evil.example", "/%5Cevil.example", "https://evil.example", "/%09/evil.example", "%0d%0aX:%20y", ""],
    )
    def test_nobody_is_led_elsewhere(self, start_viewer: StartViewer, target: str) -> None:
        answer = self.log_in(start_viewer(VIEWER_TOKEN=TOKEN), token=TOKEN, next=target)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def test_a_browser_behind_https_gets_a_cookie_for_https(self, start_viewer: StartViewer) -> None:
        viewer = start_viewer(VIEWER_TOKEN=TOKEN)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-Proto": "https"}
        answer = viewer.client.simulate_post("/login", body=f"token={TOKEN}", headers=headers, host="127.0.0.1")
        assert answer.cookies["antenna_viewer"].secure


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://viewer.example"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://127.0.0.1:8001"}, 403),
        ({"Origin": "http://127.0.0.1"}, 303),
        ({}, 303),
    ],
)
def test_other_sites_change_nothing(indexed: tuple[Path, str], headers: dict[str, str], status: int) -> None:
    viewer = RunningViewer(indexed[0])
    note = uuid.uuid4().hex
    answer = viewer.client.simulate_post(
        "/signature/?signature=MyApp%2B0x1234",
        body=f"fixed_in=7.5&note={note}",
        headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
        host="127.0.0.1",
    )
    assert answer.status_code == status
    assert (note in viewer.get("/signature/?signature=MyApp%2B0x1234")) == (status == 303)
    viewer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link on another site
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),  # a picture, a script
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, 200),  # the style sheet
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),  # typed
        ({"Origin": "http://evil.example"}, 200),  # an old browser: it shows the answer to nobody
    ],
)
def test_other_sites_load_nothing_from_here(empty_viewer: RunningViewer, headers: dict[str, str], status: int) -> None:
    answer = empty_viewer.client.simulate_get("/?days=90", headers=headers, host="127.0.0.1")
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_names_of_others_do_not_lead_here(start_viewer: StartViewer) -> None:
    viewer, behind = start_viewer(), start_viewer(VIEWER_TOKEN=TOKEN)
    for host, status in (
        ("127.0.0.1:8001", 200),
        ("localhost", 200),
        ("localhost:8001", 200),
        ("[::1]:8001", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8001", 403),
        ("192.0.2.1", 403),
        ("LOCALHOST:8001", 200),
    ):
        assert viewer.client.simulate_get("/", headers={"Host": host}).status_code == status, host
        # With a token, a proxy may have any name: no page of another name has the cookie.
        assert behind.client.simulate_get("/", headers={"Host": host, **bearer(TOKEN)}).status_code == 200, host


@pytest.mark.parametrize("host", ["127.0.0.1:", "127.0.0.1:x"])
def test_a_host_whose_port_is_no_number(empty_viewer: RunningViewer, host: str) -> None:
    assert empty_viewer.client.simulate_get("/", headers={"Host": host}).status_code == 400


def test_health_checks_need_no_token(start_viewer: StartViewer) -> None:
    assert get(start_viewer(VIEWER_TOKEN=TOKEN), "/__lbheartbeat__").status_code == 200


def test_every_route_needs_somebody(start_viewer: StartViewer) -> None:
    viewer = start_viewer(VIEWER_TOKEN=TOKEN)
    for path in ("/", "/signature/", "/report/x", "/report/x/json", "/search", "/symbols", "/status", "/nothing", "/a"):
        assert get(viewer, path).status_code in {303, 401}, path
    for path in ("/signature/", "/search"):
        assert viewer.client.simulate_post(path, host="127.0.0.1").status_code in {303, 401}


@pytest.mark.parametrize(
    "options",
    [
        {"VIEWER_SOURCE": "elsewhere"},
        {"VIEWER_SOURCE": "pubsub"},
        {"VIEWER_SOURCE": "queue"},
        {"VIEWER_PORT": "0"},
        {"VIEWER_KEEP_DAYS": "-1"},
        {"CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.crashstorage_base.NoOpCrashStorage"},
    ],
)
def test_options_that_do_not_go_together(start_viewer: StartViewer, options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        start_viewer(**options)


def test_the_app_reads_the_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWER_LISTEN_ADDRESS", EVERYWHERE)
    monkeypatch.setenv("CRASHMOVER_CRASHSTORAGE_CLASS", "antenna.ext.fs.crashstorage.FSCrashStorage")
    monkeypatch.setenv("CRASHMOVER_CRASHSTORAGE_FS_ROOT", "/nowhere")
    with pytest.raises(ConfigurationError, match="VIEWER_LISTEN_ADDRESS"):
        ViewerApp()
