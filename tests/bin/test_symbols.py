# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The program that keeps symbols."""

from pathlib import Path

from tests.support.symbols import DEBUG_ID, LIBGAME, SYM, game_dump_bytes
from tests.support.tools import run_shell

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


def environment(root: Path) -> dict[str, str]:
    return {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(root),
    }


def test_symbols_are_added_from_files_and_directories_and_listed(tmp_path: Path) -> None:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "deep" / "MyApp.sym").write_text(SYM)
    (tmp_path / "files" / "README").write_text("no symbols, and nobody is told so")
    added = run_shell(f"bin/symbols.py add {LIBGAME} {tmp_path}/files", environment(tmp_path))
    assert added.exit_code == 0, added.stderr
    assert added.stderr == ""
    assert added.lines[1] == f"MyApp {DEBUG_ID}: functions, files and lines, call frame information"
    listed = run_shell("bin/symbols.py list", environment(tmp_path))
    assert [line.split()[0] for line in listed.lines] == ["MyApp", "libgame.so"]
    objects = run_shell("bin/symbols.py list --json", {"SYMBOLS_DIR": str(tmp_path / "symbols")}).objects
    assert [item["debug_file"] for item in objects] == ["MyApp", "libgame.so"]


def test_a_file_that_has_no_symbols_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    added = run_shell(f"bin/symbols.py add {tmp_path}/text {LIBGAME}", environment(tmp_path))
    assert added.exit_code == 1
    assert f"{tmp_path}/text: no symbols" in added.stderr
    assert added.lines[0].startswith("libgame.so ")
    missing = run_shell(f"bin/symbols.py add {tmp_path}/nothing", environment(tmp_path))
    assert (missing.exit_code, missing.stderr) == (1, f"symbols.py: {tmp_path}/nothing is not there\n")


def test_missing_modules_are_counted_by_the_crashes_they_matter_for(tmp_path: Path) -> None:
    for number, content in enumerate([game_dump_bytes(), game_dump_bytes(), b"damaged"]):
        crash_id = CRASH_ID.replace("de1bb258", f"0000000{number}")
        for path, data in ((f"raw_crash/20160918/{crash_id}", b"{}"), (f"dump/{crash_id}", content)):
            file = tmp_path / "v1" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    found = run_shell("bin/symbols.py missing --date 20160918 --json", environment(tmp_path))
    assert found.exit_code == 1
    assert [(item["crashes"], item["debug_file"], item["debug_id"]) for item in found.objects] == [
        (2, "MyApp", DEBUG_ID)
    ]
    assert "00000002-cbbf-4589-a673-34f800160918: " in found.stderr
    (tmp_path / "MyApp.sym").write_text(SYM)
    assert run_shell(f"bin/symbols.py add {tmp_path}/MyApp.sym", environment(tmp_path)).exit_code == 0
    again = run_shell("bin/symbols.py missing --date 20160918", environment(tmp_path))
    assert again.lines == []
