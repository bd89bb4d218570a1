# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/symbolicate/v5``: names for addresses, in the shape of Tecken's API."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import Result

from antenna.viewer.resources import symbolicate
from tests.support.symbols import DEBUG_ID, filled_store
from tests.support.viewer import RunningViewer, StoredCrashes
from tests.viewer.conftest import StartViewer

WNTDLL = ["wntdll.pdb", "D74F79EB1F8D4A45ABCD2F476CCABACC2"]


@pytest.fixture
def viewer(stored: StoredCrashes, start_viewer: StartViewer) -> RunningViewer:
    stored.root.mkdir()
    filled_store(stored.root)
    return start_viewer()


def post(viewer: RunningViewer, body: object, **headers: str) -> Result:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return viewer.client.simulate_post("/symbolicate/v5", body=content, headers=headers, host="127.0.0.1")


def job(*stacks: list[list[Any]], modules: list[list[str]] | None = None) -> dict[str, Any]:
    return {"memoryMap": [["MyApp", DEBUG_ID], WNTDLL] if modules is None else modules, "stacks": list(stacks)}


def test_the_answer_has_the_shape_of_tecken(viewer: RunningViewer) -> None:
    # curl sends what follows -d as a form.
    request = {"jobs": [job([[0, 0x2010], [1, 65802]])]}
    answer = post(viewer, request, **{"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "example/1.0"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "results": [
            {
                "stacks": [
                    [
                        {
                            "frame": 0,
                            "module_offset": "0x2010",
                            "module": "MyApp",
                            "function": "Game::run()",
                            "function_offset": "0x10",
                            "file": "/src/world.cpp",
                            "line": 30,
                        },
                        {"frame": 1, "module_offset": "0x1010a", "module": "wntdll.pdb"},
                    ]
                ],
                "found_modules": {f"MyApp/{DEBUG_ID}": True, "/".join(WNTDLL): False},
            }
        ]
    }


def test_inlined_functions_stand_in_front_of_their_caller(viewer: RunningViewer) -> None:
    ((frame,),) = post(viewer, job([[0, 0x1010]])).json["results"][0]["stacks"]
    assert frame["function"] == "World::tick(int)"
    assert frame["inlines"] == [{"function": "Vector::length() const", "file": "/src/math.h", "line": 7}]


def test_frames_without_a_function(viewer: RunningViewer) -> None:
    modules = [["MyApp", DEBUG_ID.lower()], WNTDLL, ["", ""]]
    expected: list[tuple[list[int], dict[str, str]]] = [
        ([-1, 0x10], {"module": "<unknown>", "module_offset": "0x10"}),
        ([0, -1], {"module": "MyApp", "module_offset": "-0x1"}),
        ([0, 2**64 - 1], {"module": "MyApp", "module_offset": "0xffffffffffffffff"}),
        ([0, 0], {"module": "MyApp", "module_offset": "0x0"}),
        ([2, 5], {"module": "", "module_offset": "0x5"}),
    ]
    answer = post(viewer, {"jobs": [job([frame], modules=modules) for frame, _ in expected]})
    for (frame, fields), result in zip(expected, answer.json["results"], strict=True):
        assert result["stacks"] == [[{"frame": 0, **fields}]], frame
        # Nobody looked for what stands on no stack.
        assert result["found_modules"]["/".join(WNTDLL)] is None


def test_symbols_that_cannot_be_read_are_an_error_of_their_module(viewer: RunningViewer, stored: StoredCrashes) -> None:
    (file,) = stored.root.rglob("*.symcache")
    file.write_bytes(b"damaged")
    (result,) = post(viewer, job([[0, 0x2010]])).json["results"]
    assert result["found_modules"][f"MyApp/{DEBUG_ID}"] is False
    assert result["module_errors"] == {
        f"MyApp/{DEBUG_ID}": [
            {"name": "SymbolFileError", "message": "the symbols that are stored cannot be read: add them again"}
        ]
    }


FRAMES = [[0, 1]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request is not JSON"),
        (b"{", "The request is not JSON"),
        (b"[" * 100_000, "The request is not JSON"),
        (b'{"stacks": [[[0, ' + b"9" * 5000 + b"]]]}", "The request is not JSON"),
        ([], "the request is no JSON object"),
        ({"jobs": {}}, "jobs is not a list of objects"),
        ({"jobs": [1]}, "jobs is not a list of objects"),
        ({"jobs": [job(FRAMES)] * 11}, "there are more than 10 jobs in one request"),
        ({}, "job 0: stacks is not a list of 1 to 5000 stacks"),
        ({"jobs": [job(FRAMES), job()]}, "job 1: stacks is not a list of 1 to 5000 stacks"),
        (job(FRAMES) | {"memoryMap": "x"}, "job 0: memoryMap is not a list"),
        (job(FRAMES, modules=[["a", "A1"]] * 5001), "job 0: memoryMap is not a list of at most 5000 modules"),
        (job(FRAMES, modules=[["a"]]), "job 0: module 0 is not a debug file and a debug id"),
        (job(FRAMES, modules=[["../../etc/passwd", "A1"]]), "job 0: module 0 has a debug file that is none"),
        (job(FRAMES, modules=[["a\n", "A1"]]), "job 0: module 0 has a debug file that is none"),
        (job(FRAMES, modules=[["a", "../x"]]), "job 0: module 0 has a debug id that is none"),
        (job(FRAMES, modules=[["a", 5]]), "job 0: module 0 has a debug id that is none"),  # type: ignore[list-item]
        ({"memoryMap": [WNTDLL], "stacks": [5]}, "job 0: stack 0 is not a list of frames"),
        (job([[0]]), "job 0: stack 0, frame 0 is not the index of a module and an offset"),
        (job([[0, 1.5]]), "job 0: stack 0, frame 0 is not the index of a module and an offset"),
        (job([[True, 1]]), "job 0: stack 0, frame 0 is not the index of a module and an offset"),
        (job([[0, 1], [2, 1]]), "job 0: stack 0, frame 1 has the index of a module that is not there"),
        (job([[-2, 1]]), "job 0: stack 0, frame 0 has the index of a module that is not there"),
        (job([[0, -2]]), "job 0: stack 0, frame 0 has an offset that is none"),
        (job([[0, 2**64]]), "job 0: stack 0, frame 0 has an offset that is none"),
        (job([[0, 1]] * 50_001), "there are more than 50000 frames in one request"),
    ],
)
def test_what_is_no_request(empty_viewer: RunningViewer, body: object, message: str) -> None:
    answer = post(empty_viewer, body)
    assert answer.status_code == 400
    assert answer.json["error"].startswith(message)


def test_large_requests_are_refused_before_they_are_read(start_viewer: StartViewer) -> None:
    viewer = start_viewer()
    for body in (b" " * (symbolicate.MAX_REQUEST + 1), b'{"stacks": [' + b"[]," * 250_000 + b"[]]}"):
        began = time.process_time()
        assert post(viewer, body).status_code == 413
        assert time.process_time() - began < 1


def test_a_request_that_takes_too_long_is_ended(viewer: RunningViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer.app.symbolicator, "_timeout", -1.0)
    answer = post(viewer, job(FRAMES))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


def test_a_viewer_without_symbols_answers_too(tmp_path: Path, start_viewer: StartViewer) -> None:
    (result,) = post(start_viewer(SYMBOLS_DIR=str(tmp_path / "nowhere")), job(FRAMES)).json["results"]
    assert result["found_modules"] == {f"MyApp/{DEBUG_ID}": False, "/".join(WNTDLL): None}


def test_it_needs_a_token_where_pages_do(start_viewer: StartViewer) -> None:
    viewer = start_viewer(VIEWER_TOKEN="summary")
    assert post(viewer, job(FRAMES)).status_code == 401
    assert post(viewer, job(FRAMES), Authorization="Bearer summary").status_code == 200
    assert post(viewer, job(FRAMES), **{"Auth-Token": "summary"}).status_code == 200
    assert post(start_viewer(), job(FRAMES), Origin="https://evil.example").status_code == 403
