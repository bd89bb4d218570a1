# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``send_crashes.py`` sends what real crash reporters send, and prints the answers."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from antenna.breakpad_resource import PRIVATE_ANNOTATIONS
from tests.bin.conftest import TOKEN, Collector
from tests.support.captures import CAPTURES, DATA, load_capture
from tests.support.minidumps.samples import LINUX, padded_crash
from tests.support.programs import free_port
from tests.support.tools import run_shell

# The members that the collector adds to a raw crash, whatever the client sends.
ADDED = ("metadata", "submitted_timestamp", "uuid", "version")

KNOWN_ID = "de1bb258-cbbf-4589-a673-34f800160918"

# curl asks for "100 Continue" before it sends more than 1 MiB.
DUMP_SIZE = 1_049_914
# Each reporter with a capture of its real request and the pattern of its boundaries.
REPORTERS = [
    ("firefox", "firefox-client-bgtask", r"----geckoformboundary[0-9a-f]{32}"),
    ("fenix", "fenix-like-native", r"-{27}[0-9A-F]{16}"),
    ("crashpad", "crashpad-chromium-real", r"---MultipartBoundary-[0-9A-Za-z]{32}---"),
    ("breakpad", "breakpad-linux-minidump_upload", r"-{24}[0-9a-f]{16}"),
    ("curl", "curl-form-expect-100", r"-{24}[0-9a-f]{16}"),
]


def annotations_of(capture: str) -> dict[str, Any]:
    """Return the annotations that the reporter had to send. Fenix adds an end of line to the last one."""
    return {name: value.removesuffix("\r\n") for name, value in load_capture(capture).annotations.items()}


def arguments_for(capture: str, directory: Path) -> str:
    """Return the arguments that send the annotations of a capture.

    The dumps have the size of the captured ones: curl asks for "100 Continue" before it sends so much.
    """
    annotations = directory / "annotations.json"
    annotations.write_text(json.dumps(annotations_of(capture)), encoding="utf-8")
    dump = directory / "crash.dmp"
    dump.write_bytes(padded_crash(LINUX, DUMP_SIZE))
    dumps = " ".join(f"--dump {name}={dump}" for name in load_capture(capture).dumps)
    return f"--annotations {annotations} {dumps}"


def printed(arguments: str, directory: Path) -> bytes:
    """Return the request that the program prints instead of sending it."""
    file = directory / "request.http"
    result = run_shell(f"bin/send_crashes.py --print {arguments}", {}, stdout=file)
    assert result.stderr == ""
    return file.read_bytes()


def names_in_query(request: bytes) -> list[str]:
    target = request.split(b" ", 2)[1].decode()
    return re.findall(r"[?&]([^=]+)=", target)


def header_names(request: bytes) -> list[str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return [line.partition(":")[0] for line in lines[1:]]


def without_values(part_head: str) -> str:
    """Return the headers of a part without the names that are different in each crash."""
    # Firefox takes the type of a minidump from the desktop's MIME table, where some have it.
    part_head = part_head.replace("application/vnd.tcpdump.pcap", "application/octet-stream")
    part_head = re.sub(r'(; name=)("?)[^";]+', r"\1\2NAME", part_head)
    return re.sub(r'(; filename=)"[^".]*', r'\1"FILE', part_head)


@pytest.mark.parametrize(("reporter", "capture", "boundary"), REPORTERS)
def test_requests_look_like_those_of_the_real_reporter(
    reporter: str, capture: str, boundary: str, tmp_path: Path
) -> None:
    arguments = f"--as {reporter} {arguments_for(capture, tmp_path)}"
    request = printed(arguments, tmp_path)
    real = load_capture(capture)
    assert header_names(request) == header_names(real.request)
    assert names_in_query(request) == names_in_query(real.request)
    assert (b"\r\nContent-Encoding: gzip\r\n" in request) == real.is_gzipped
    assert (b"\r\nTransfer-Encoding: chunked\r\n" in request) == real.is_chunked

    head, _, body = printed(f"{arguments} --no-gzip --no-chunked", tmp_path).partition(b"\r\n\r\n")
    (found,) = re.findall(rb"boundary=(\S+)", head)
    assert re.fullmatch(boundary, found.decode())
    parts = [part.partition(b"\r\n\r\n")[0].decode().strip() for part in body.split(b"--" + found)[1:-1]]
    real_parts = json.loads((CAPTURES / f"{capture}.json").read_text(encoding="utf-8"))["parts"]
    assert {without_values(part) for part in parts} == {
        without_values("\r\n".join(part["headers"])) for part in real_parts
    }


@pytest.mark.parametrize(("reporter", "capture", "_"), REPORTERS)
def test_the_collector_gets_every_annotation_and_dump(
    reporter: str, capture: str, _: str, tmp_path: Path, fs_collector: Collector
) -> None:
    (crash_id,) = fs_collector.send("--as", reporter, *arguments_for(capture, tmp_path).split())
    raw_crash = stored_raw_crash(fs_collector, crash_id)
    real = load_capture(capture)
    assert_holds(raw_crash, real.annotations)
    assert sorted(raw_crash["metadata"]["dump_checksums"]) == sorted(real.dumps)
    assert stored(fs_collector, f"dump/{crash_id}").stat().st_size == DUMP_SIZE
    metadata = raw_crash["metadata"]
    assert metadata["payload"] == real.annotations_in
    assert metadata["payload_compressed"] == str(int(real.is_gzipped))


def assert_holds(raw_crash: Mapping[str, Any], annotations: Mapping[str, Any]) -> None:
    expected = {name: value for name, value in annotations.items() if name not in {*PRIVATE_ANNOTATIONS, *ADDED}}
    assert {name: raw_crash.get(name, "not there") for name in expected} == expected


def stored(collector: Collector, name: str) -> Path:
    return Path(collector.environment["CRASHMOVER_CRASHSTORAGE_FS_ROOT"], "v1", name)


def stored_raw_crash(collector: Collector, crash_id: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(stored(collector, f"raw_crash/20{crash_id[-6:]}/{crash_id}").read_bytes())
    return content


def test_any_annotation_set_can_be_sent(fs_collector: Collector) -> None:
    files = sorted((DATA / "annotations").glob("*.json"))
    arguments = [argument for file in files for argument in ("--annotations", str(file))]
    # The crashes are sent one at a time, so their order is known.
    crash_ids = fs_collector.send(*arguments, "--gzip", "--chunked", "--concurrency", "1")
    for file, crash_id in zip(files, crash_ids, strict=True):
        raw_crash = stored_raw_crash(fs_collector, crash_id)
        sent = json.loads(file.read_bytes())
        assert_holds(raw_crash, sent["annotations"])
        assert sorted(raw_crash["metadata"]["dump_checksums"]) == sorted(sent["suggested_dumps"])
        assert raw_crash["metadata"]["payload_compressed"] == "1"


def test_shapes_can_be_changed(fs_collector: Collector) -> None:
    (crash_id,) = fs_collector.send("--as", "firefox", "--gzip", "--key-value", "--set", "Comments=Grüße \"'\n")
    raw_crash = stored_raw_crash(fs_collector, crash_id)
    assert raw_crash["Comments"] == "Grüße \"'\n"
    assert raw_crash["metadata"]["payload"] == "multipart"
    assert raw_crash["metadata"]["payload_compressed"] == "1"


def test_a_stored_crash_can_be_sent_again(fs_collector: Collector) -> None:
    (first_id,) = fs_collector.send("--set", "Comments=again", "--no-dumps")
    file = stored(fs_collector, f"raw_crash/20{first_id[-6:]}/{first_id}")
    (second_id,) = fs_collector.send("--annotations", str(file), "--no-dumps")
    assert second_id != first_id
    again = stored_raw_crash(fs_collector, second_id)
    assert again["Comments"] == "again"
    assert again["uuid"] == second_id


def test_a_crash_can_have_a_known_id(fs_collector: Collector) -> None:
    assert fs_collector.environment["BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN"] == TOKEN
    assert fs_collector.send("--set", f"uuid={KNOWN_ID}") == [KNOWN_ID]


def test_many_crashes_are_sent_at_a_steady_rate(fs_collector: Collector) -> None:
    result = fs_collector.run(
        "send_crashes.py", fs_collector.url, "-n", "30", "--rate", "50", "--no-dumps", "--concurrency", "4"
    )
    assert len(set(result.lines)) == 30
    sent, answers, times = result.stderr.splitlines()
    match = re.fullmatch(r"30 sent in ([0-9.]+) s, ([0-9.]+) a second", sent)
    assert match is not None
    # The last one is sent 29/50 s after the first.
    assert float(match[1]) >= 0.5
    assert answers.split() == ["30", "200", "CrashID"]
    assert re.fullmatch(r"answers in ms: p50 \d+, p90 \d+, p99 \d+, max \d+", times)


def test_refused_crashes_are_counted_and_fail_the_program(fs_collector: Collector) -> None:
    result = run_shell(
        f"bin/send_crashes.py {fs_collector.url} --json -n 2 --no-dumps --set uuid={KNOWN_ID}",
        {"BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": "wrong"},
    )
    assert result.exit_code == 1
    assert "2  401 Discarded=unauthorized_uuid" in result.stderr
    assert [(answer["status"], answer["answer"], answer["crash_id"]) for answer in result.objects] == [
        (401, "Discarded=unauthorized_uuid", None)
    ] * 2


def test_no_answer_is_counted_and_fails_the_program() -> None:
    result = run_shell(f"bin/send_crashes.py http://127.0.0.1:{free_port()}/submit --no-dumps", {})
    assert result.exit_code == 1
    assert "1  no answer: Connection refused" in result.stderr


def test_captures_are_replayed_byte_for_byte(fs_collector: Collector) -> None:
    files = [str(CAPTURES / f"{name}.http") for name in ("curl-form-expect-100", "curl-http10", "crashpad-gzip")]
    assert len(fs_collector.send("--replay", *files)) == 3
    assert len(run_shell(f"bin/send_crashes.py --replay {files[0]} {files[2]} {fs_collector.url}", {}).lines) == 2
    result = run_shell(f"bin/send_crashes.py --print --replay {files[2]} | cmp - {files[2]}", {})
    assert result.exit_code == 0, result.stdout
