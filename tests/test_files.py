# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A file is complete and on the disk, or it does not exist."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from antenna.files import (
    PIECE_SIZE,
    WrongType,
    fsync_directory,
    make_directories,
    open_regular,
    open_temporary_file,
    prepare_directory,
    read_pieces,
    replace_file,
    size_on_disk,
    verify_directory,
    write_file,
    write_pieces,
)
from tests.support.disk import Disk
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.refusals import refusing

ZEROS = bytes(PIECE_SIZE)


def assert_content(path: Path, content: bytes) -> None:
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "something was left beside it"


def half_a_file() -> Iterator[bytes]:
    yield b"half"
    raise OSError("the other half cannot be read")


@pytest.mark.parametrize("pieces", [[], [b""], [b"all"], [b"a", b"l", b"l"], [bytes(1_000_000), b"end"]])
def test_a_file_has_all_its_pieces(tmp_path: Path, pieces: list[bytes]) -> None:
    replace_file(tmp_path / "replaced" / "file", pieces)
    (tmp_path / "written").mkdir()
    write_file(tmp_path / "written" / "file", pieces)

    assert_content(tmp_path / "replaced" / "file", b"".join(pieces))
    assert_content(tmp_path / "written" / "file", b"".join(pieces))


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", [b"a long first version"])
    replace_file(tmp_path / "file", [b"second"])

    assert_content(tmp_path / "file", b"second")


def test_what_cannot_be_written_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", [b"first"])

    with pytest.raises(OSError, match="other half"):
        replace_file(tmp_path / "file", half_a_file())

    assert_content(tmp_path / "file", b"first")


def test_others_may_read_it(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", [b"content"])

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"somebody's")

    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", [b"ours"])

    assert_content(tmp_path / "file", b"somebody's")


def test_a_name_appears_when_its_content_is_on_the_disk_and_is_there_for_good_after(disk: Disk, tmp_path: Path) -> None:
    replace_file(tmp_path / "file", [b"content"])

    write, fsync, rename, fsync_name = [call for call in disk.calls if call.name in {"write", "fsync", "rename"}]
    assert write.path == fsync.path == rename.path
    assert rename.target == tmp_path / "file"
    assert fsync_name.path == tmp_path


def test_directories_are_made_durable_from_the_top(disk: Disk, tmp_path: Path) -> None:
    make_directories(tmp_path / "a" / "b")

    assert [(call.name, call.path) for call in disk.calls if call.name in {"mkdir", "fsync"}] == [
        ("mkdir", tmp_path / "a"),
        ("fsync", tmp_path),
        ("mkdir", tmp_path / "a" / "b"),
        ("fsync", tmp_path / "a"),
    ]


def test_directories_that_are_there_are_left_alone(disk: Disk, tmp_path: Path) -> None:
    make_directories(tmp_path)

    assert disk.calls == []


def test_workers_make_directories_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as workers:
        for number in range(50):
            list(workers.map(make_directories, [tmp_path / str(number) / "a" / "b"] * 8))

    assert len(list(tmp_path.rglob("b"))) == 50


@pytest.mark.parametrize("at", range(5))
def test_a_disk_that_fails_leaves_nothing_behind(disk: Disk, tmp_path: Path, at: int) -> None:
    disk.fail_at(at)

    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "file", [b"content"])

    # When the last step fails, which is the fsync of the directory, everything has been written.
    assert list(tmp_path.iterdir()) == ([tmp_path / "file"] if at == 4 else [])


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        fsync_directory(tmp_path / "file")
    with pytest.raises(FileExistsError):
        make_directories(tmp_path / "file")


REFUSED_CODES = [errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM, errno.EOPNOTSUPP]


@pytest.mark.parametrize("code", REFUSED_CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["chmod", "directory-fsync", "rename-over", "nameless-file", "grow"])
class TestRefusal:
    """If the file system refuses a call, files are written without it."""

    def test_files_are_saved_all_the_same(self, tmp_path: Path, call: str, code: int) -> None:
        (tmp_path / "other").mkdir()
        with refusing(tmp_path, {call: code}):
            replace_file(tmp_path / "a" / "file", [b"first"])
            replace_file(tmp_path / "a" / "file", [b"second", ZEROS])
            write_file(tmp_path / "other" / "written", [b"content", ZEROS])

        assert_content(tmp_path / "a" / "file", b"second" + ZEROS)
        assert_content(tmp_path / "other" / "written", b"content" + ZEROS)

    def test_temporary_files_are_written_all_the_same(self, tmp_path: Path, call: str, code: int) -> None:
        with refusing(tmp_path, {call: code}):
            prepare_directory(tmp_path)
            descriptor = open_temporary_file(tmp_path)
            write_pieces(descriptor, [b"content", ZEROS, ZEROS])

        content = b"content" + ZEROS + ZEROS
        assert b"".join(read_pieces(descriptor, len(content), os.pread)) == content
        assert list(tmp_path.iterdir()) == []
        os.close(descriptor)

    def test_start_proves_it_and_says_what_is_lacking(self, tmp_path: Path, call: str, code: int) -> None:
        with refusing(tmp_path, {call: code}):
            lacking = verify_directory(tmp_path)

        said = {"chmod": ["no chmod"], "directory-fsync": ["no fsync of directories"]}
        assert [line.partition(":")[0] for line in lacking] == said.get(call, [])
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def test_file_system_without_any_fsync_is_used_and_said(tmp_path: Path, code: int) -> None:
    with refusing(tmp_path, {"file-fsync": code, "directory-fsync": code}):
        replace_file(tmp_path / "file", [b"content"])
        lacking = verify_directory(tmp_path)

    assert_content(tmp_path / "file", b"content")
    assert [line.partition(":")[0] for line in lacking] == ["no fsync of files", "no fsync of directories"]


@pytest.mark.parametrize("call", ["chmod", "directory-fsync", "file-fsync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_disk_that_fails_is_no_file_system_that_refuses(tmp_path: Path, call: str, code: int) -> None:
    with refusing(tmp_path, {call: code}), pytest.raises(OSError, match=os.strerror(code)):
        verify_directory(tmp_path)


def test_file_system_that_lacks_nothing_says_nothing(tmp_path: Path) -> None:
    assert verify_directory(tmp_path) == []


@pytest.mark.parametrize("umask", [0o077, 0o777], ids=oct)
def test_others_may_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "file", [b"content"])
    finally:
        os.umask(before)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


class TestRegularFile:
    """A thing that is not a regular file is not opened, because opening a FIFO may take for ever."""

    @pytest.mark.parametrize("kind", ODD_THINGS)
    def test_anything_else_is_refused(self, tmp_path: Path, kind: str) -> None:
        make_odd_thing(tmp_path / "name", kind)

        with pytest.raises(WrongType, match=r"is a \w.*, and should be a file: .*name"):
            open_regular(tmp_path / "name")

    def test_file_is_opened(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"content")

        descriptor = open_regular(tmp_path / "file")

        assert os.read(descriptor, 100) == b"content"
        os.close(descriptor)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_regular(tmp_path / "file")


class TestSizeOnDisk:
    """A file has the size of its blocks. Holes take nothing."""

    @pytest.mark.parametrize(
        ("pieces", "blocks"),
        [([], 0), ([b"x"], 1), ([bytes(4096)], 1), ([ZEROS] * 100, 0), ([ZEROS, b"x", ZEROS], 1), ([b"x" * 8193], 3)],
        ids=["empty", "a byte", "few zeros", "holes", "a byte among holes", "three blocks"],
    )
    def test_is_that_of_its_blocks(self, tmp_path: Path, pieces: list[bytes], blocks: int) -> None:
        write_file(tmp_path / "file", pieces)
        descriptor = open_regular(tmp_path / "file")

        assert size_on_disk(descriptor) == blocks * os.statvfs(tmp_path).f_bsize
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
        os.close(descriptor)

    def test_is_that_of_the_file_where_blocks_are_not_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_bytes(b"x" * 10_000)
        descriptor = open_regular(tmp_path / "file")
        monkeypatch.setattr(os, "fstat", lambda _: SimpleNamespace(st_blocks=0, st_size=10_000))

        size = size_on_disk(descriptor)
        monkeypatch.undo()

        assert size == 10_000
        os.close(descriptor)


@pytest.mark.usefixtures("_with_and_without_o_tmpfile")
class TestTemporaryFile:
    """A temporary file can be read by its owner alone, and is gone when its descriptor is closed."""

    def test_has_no_name(self, tmp_path: Path) -> None:
        descriptor = open_temporary_file(tmp_path)

        assert os.fstat(descriptor).st_nlink == 0
        assert list(tmp_path.iterdir()) == []
        os.close(descriptor)

    def test_is_its_owners_alone(self, tmp_path: Path) -> None:
        descriptor = open_temporary_file(tmp_path)

        assert os.fstat(descriptor).st_mode & 0o777 == 0o600
        os.close(descriptor)

    def test_is_not_inherited(self, tmp_path: Path) -> None:
        descriptor = open_temporary_file(tmp_path)

        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


@pytest.mark.usefixtures("_with_and_without_o_tmpfile")
class TestPrepareDirectory:
    def test_takes_away_what_a_kill_left(self, tmp_path: Path) -> None:
        (tmp_path / "antenna-report-x1").write_bytes(b"")
        (tmp_path / "other").write_bytes(b"")
        prepare_directory(tmp_path)

        assert [path.name for path in tmp_path.iterdir()] == ["other"]

    def test_refuses_what_is_no_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")

        for name in ("missing", "file"):
            with pytest.raises(OSError, match=r"No such file|Not a directory"):
                prepare_directory(tmp_path / name)
