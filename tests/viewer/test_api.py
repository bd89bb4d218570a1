# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The answers to tools that read Crash Stats: searches, processed crashes, raw crashes, dumps."""

import json
from typing import Any

import pytest
from siggen.generator import SignatureGenerator
from siggen.utils import convert_to_crash_data

from antenna.crash import raw_crash_path
from antenna.crash.crash_id import date_of
from tests.support.minidumps import samples
from tests.support.minidumps.everything import everything
from tests.support.symbols import filled_store, game_dump_bytes
from tests.support.viewer import RunningViewer, StoredCrashes
from tests.viewer.conftest import StartViewer

pytestmark = pytest.mark.usefixtures("in_process")

TOKEN, PROTECTED = "summary-token", "protected-token"
FIREFOX = {
    "ProductName": "Firefox", "Version": "153.0.1", "ReleaseChannel": "release", "BuildID": "20261101000000",
    "MozCrashReason": "MOZ_CRASH(x)", "OOMAllocationSize": "1048576", "SafeMode": "1", "CrashTime": "1795000100",
    "StartupTime": "1795000000", "Email": "secret@example.com", "URL": "https://secret.example/",
    "Comments": "secret words",
}  # fmt: skip


def ask(viewer: RunningViewer, path: str, status: int = 200, token: str = "") -> Any:
    headers = {"Auth-Token": token} if token else {}
    result = viewer.client.simulate_get(path, host="127.0.0.1", headers=headers)
    assert result.status_code == status, result.text
    assert result.headers["content-type"] == "application/json"
    return result.json


def test_answers_have_the_shape_of_crash_stats(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    ids = [stored.add(FIREFOX | {"Version": f"153.{number}"}, game_dump_bytes()) for number in range(3)]
    other = stored.add({"ProductName": "MyApp"})
    viewer = start_viewer()
    viewer.look()
    for path in ("/api/search", "/api/search/", "/api/SuperSearch/", "/api/SuperSearch", "/api/SuperSearchUnredacted/"):
        found = ask(viewer, f"{path}?product=Firefox&version=153.0&version=153.2&_facets=version")
        assert set(found) == {"hits", "facets", "total", "errors"}
        assert (found["total"], found["errors"]) == (2, [])
        assert {hit["uuid"] for hit in found["hits"]} == {ids[0], ids[2]}
        assert set(found["hits"][0]) == {"uuid", "date", "signature", "product", "version"}
        assert found["facets"] == {"version": [{"term": "153.0", "count": 1}, {"term": "153.2", "count": 1}]}
    assert ask(viewer, "/api/search?modules_in_stack=MyApp&version=%3E=153.1")["total"] == 2
    assert [hit["uuid"] for hit in ask(viewer, "/api/search?product=!Firefox")["hits"]] == [other]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59+00:00", "x", 5])
def test_a_time_that_no_crash_can_have_is_left_out(
    stored: StoredCrashes, start_viewer: StartViewer, time: object
) -> None:
    crash_id = stored.add({})
    stored.write(raw_crash_path(crash_id), json.dumps({"submitted_timestamp": time}).encode())
    viewer = start_viewer()
    viewer.look()
    (hit,) = ask(viewer, "/api/search")["hits"]
    assert hit["date"].replace("-", "", 2) == f"{date_of(crash_id)}T00:00:00.000000+00:00"


def test_what_is_wrong_is_an_error_in_json(start_viewer: StartViewer) -> None:
    viewer = start_viewer()
    found = ask(viewer, "/api/SuperSearch/?url=x&uptime=%3Ey", 400)
    assert found == {
        "error": "unknown field url; uptime: 'y' is no number",
        "errors": ["unknown field url", "uptime: 'y' is no number"],
    }
    assert "parameters" in ask(viewer, "/api/search?" + "&".join(["a=1"] * 501), 400)["error"]
    assert ask(viewer, "/api/search?signature=~%ff%00")["total"] == 0


def test_the_fields_can_be_asked_for(start_viewer: StartViewer) -> None:
    fields = ask(start_viewer(VIEWER_ANNOTATIONS="Team"), "/api/SuperSearchFields/")
    assert fields["version"]["query_type"] == "version"
    assert fields["team"]["description"] == "The annotation Team."


def test_searches_beside_each_other_are_few(start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = start_viewer()
    searcher = viewer.app.searcher
    monkeypatch.setattr(searcher, "_timeout", 0.01)
    while searcher.slots.acquire(blocking=False):
        pass
    assert "took too long" in ask(viewer, "/api/search", 503)["error"]


class TestProcessedCrash:
    def test_it_has_the_names_of_socorro(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        crash_id = stored.add(FIREFOX, game_dump_bytes(), rule="is_firefox_desktop", notes=("a note",))
        filled_store(stored.root)
        viewer = start_viewer()
        viewer.look()
        found = ask(viewer, f"/api/report/{crash_id}")
        expected = {
            "uuid": crash_id, "product": "Firefox", "version": "153.0.1", "release_channel": "release",
            "build": "20261101000000", "os_name": "Linux", "cpu_arch": "amd64", "process_type": "parent",
            "reason": "SIGSEGV / SEGV_MAPERR", "address": "0x10", "crashing_thread": 0, "crashing_thread_name": "main",
            "moz_crash_reason": "MOZ_CRASH(x)", "oom_allocation_size": 1048576, "safe_mode": True, "uptime": 100,
            "email": "secret@example.com", "url": "https://secret.example/", "user_comments": "secret words",
            "success": True, "mdsw_status_string": "OK", "collector_notes": ["a note"],
        }  # fmt: skip
        assert {name: found.get(name) for name in expected} == expected
        dump = found["json_dump"]
        assert dump["crash_info"] == found["crash_info"] == {
            "type": "SIGSEGV / SEGV_MAPERR", "address": "0x10", "assertion": None, "crashing_thread": 0
        }  # fmt: skip
        assert dump["system_info"]["os"] == "Linux"
        assert (dump["thread_count"], dump["main_module"]) == (1, 0)
        assert dump["threads"][0]["thread_name"] == "main"
        frame = dump["threads"][0]["frames"][0]
        assert (frame["frame"], frame["module"], frame["module_offset"]) == (0, "MyApp", "0x1010")
        assert (frame["offset"], frame["trust"]) == ("0x401010", "context")
        assert dump["crashing_thread"]["threads_index"] == 0
        assert dump["modules"][0]["filename"] == "MyApp"
        assert ask(viewer, f"/api/ProcessedCrash/?crash_id={crash_id}") == found
        assert ask(viewer, f"/api/ProcessedCrash?crash_id=bp-{crash_id}&datatype=processed") == found

    @pytest.mark.parametrize("platform", [samples.LINUX, samples.WINDOWS, samples.MAC], ids=str)
    def test_siggen_signs_it_as_the_viewer_did(
        self, stored: StoredCrashes, start_viewer: StartViewer, platform: Any
    ) -> None:
        crash_id = stored.add(FIREFOX, samples.crash(platform))
        viewer = start_viewer()
        viewer.look()
        found = ask(viewer, f"/api/report/{crash_id}")
        assert SignatureGenerator().generate(convert_to_crash_data(found)).signature == found["signature"]

    def test_nothing_protected_is_in_a_summary(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        crash_id = stored.add(FIREFOX, everything(samples.LINUX), notes=("secret note",))
        viewer = start_viewer(VIEWER_PROTECTED_TOKEN=PROTECTED)
        viewer.look()
        for path in (f"/api/report/{crash_id}", f"/api/RawCrash/?crash_id={crash_id}"):
            text = json.dumps(ask(viewer, path))
            for secret in ("secret", "/home/user", "registers", "0x60000000", "a comment", "Email"):
                assert secret not in text
            assert "MOZ_CRASH(x)" in text
            assert "secret@example.com" in json.dumps(ask(viewer, path, token=PROTECTED))

    def test_a_crash_without_a_dump(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        java = {"exception": {"values": [{"stacktrace": {"type": "E", "module": "a.b", "frames": []}}]}}
        crash_id = stored.add({"ProductName": "Fenix", "JavaException": json.dumps(java)})
        viewer = start_viewer()
        viewer.look()
        found = ask(viewer, f"/api/report/{crash_id}")
        assert "json_dump" not in found
        assert (found["java_exception"], found["success"]) == (java, False)
        assert SignatureGenerator().generate(convert_to_crash_data(found)).signature == found["signature"]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{"a": NaN}', None),
            ('{"a": [1e999]}', None),
            (r'{"\ud800": "\ud83d\ude00\udfff"}', {"?": "\N{GRINNING FACE}?"}),
            ("[" * 100_000, None),
        ],
    )
    def test_json_in_an_annotation_is_given_if_it_is_valid(
        self, stored: StoredCrashes, start_viewer: StartViewer, text: str, value: object
    ) -> None:
        crash_id = stored.add({"ProductName": "Fenix", "JavaException": text})
        viewer = start_viewer()
        viewer.look()
        assert ask(viewer, f"/api/report/{crash_id}").get("java_exception") == value

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/api/report/nonsense", 400),
            ("/api/ProcessedCrash/", 400),
            ("/api/RawCrash/?crash_id=../../x", 400),
            ("/api/report/de1bb258-cbbf-4589-a673-34f800261122", 404),
            ("/api/RawCrash/?crash_id=de1bb258-cbbf-4589-a673-34f800261122&format=raw&name=x", 404),
            ("/api/Nothing/", 404),
        ],
    )
    def test_crashes_that_are_not_there(self, empty_viewer: RunningViewer, path: str, status: int) -> None:
        assert "error" in ask(empty_viewer, path, status)


def test_addresses_of_crash_stats_lead_to_the_page(start_viewer: StartViewer) -> None:
    answer = start_viewer().client.simulate_get("/report/index/bp-x%20y", host="127.0.0.1")
    assert (answer.status_code, answer.headers["location"]) == (301, "/report/bp-x%20y")


def test_raw_crashes_and_dumps_are_fetched(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add(FIREFOX, game_dump_bytes())
    viewer = start_viewer(VIEWER_TOKEN=TOKEN, VIEWER_PROTECTED_TOKEN=PROTECTED)
    viewer.look()
    raw = ask(viewer, f"/api/RawCrash/?crash_id={crash_id}&format=meta", token=PROTECTED)
    assert list(raw["metadata"]["dump_checksums"]) == ["upload_file_minidump"]
    for name in ("upload_file_minidump", "dump"):
        path = f"/api/RawCrash/?crash_id={crash_id}&format=raw&name={name}"
        result = viewer.client.simulate_get(path, host="127.0.0.1", headers={"Auth-Token": PROTECTED})
        assert result.content == game_dump_bytes()
        assert "protected" in ask(viewer, path, 403, token=TOKEN)["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Auth-Token": "wrong"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Auth-Token": TOKEN}, 200),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_tools_send_a_token(start_viewer: StartViewer, headers: dict[str, str], status: int) -> None:
    viewer = start_viewer(VIEWER_TOKEN=TOKEN)
    for path in ("/api/search", "/api/SuperSearch/", "/api/report/x", "/api/RawCrash/", "/api/nothing"):
        found = viewer.client.simulate_get(path, host="127.0.0.1", headers=headers)
        assert (found.status_code == status) == (status != 200 or "earch" in path)
        assert found.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", ["Email", "email", "URL", "url", "Comments", "collector_notes", "JavaException"])
@pytest.mark.parametrize(
    "query", ["{}=~secret", "_facets={}", "_columns={}", "_sort={}", "_aggs.product={}", "_facets=_cardinality.{}"]
)
def test_nothing_protected_is_searched_counted_or_shown(empty_viewer: RunningViewer, name: str, query: str) -> None:
    assert ask(empty_viewer, f"/api/search?{query.format(name)}", 400)["error"].startswith(f"unknown field {name}")


def test_annotations_that_are_allowed_no_more_are_no_fields(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    stored.add({"ProductName": "MyApp", "Team": "blue", "Reason": "x", "date": "y"})
    viewer = start_viewer(VIEWER_ANNOTATIONS="Team,Reason,date")
    viewer.look()
    assert ask(viewer, "/api/search?team=blue&Reason=x&date=%3E2026-01-01")["total"] == 1
    viewer.close()
    assert "unknown field Team" in ask(start_viewer(), "/api/search?Team=blue", 400)["error"]
