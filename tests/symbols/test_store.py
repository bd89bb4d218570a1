# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The store of symbols."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from antenna.symbols import Store, SymbolError, breakpad_id, compiler
from antenna.symbols.names import Names
from tests.support.symbols import DEBUG_ID, LIBGAME, LIBGAME_DEBUG, SYM, filled_store


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are compiled in this process, and without limits, which takes less time than to start another one."""

    def run(command: list[str], **_: object) -> CompletedProcess[str]:
        with monkeypatch.context() as patched, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            patched.setattr(sys, "argv", command[2:])
            code = compiler.main()
        return CompletedProcess(command, code, out.getvalue(), err.getvalue())

    monkeypatch.setattr(compiler, "_limit", lambda _: None)
    monkeypatch.setattr(compiler, "subprocess", SimpleNamespace(run=run))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("c68887af-db74-a91e-2ae4-11a46c176773", "C68887AFDB74A91E2AE411A46C1767730"),
        ("c68887af-db74-a91e-2ae4-11a46c176773-2", "C68887AFDB74A91E2AE411A46C1767732"),
        ("c68887af-db74-a91e-2ae4-11a46c176773-1a", "C68887AFDB74A91E2AE411A46C1767731A"),
    ],
)
def test_debug_ids_have_breakpads_form(given: str, expected: str) -> None:
    assert breakpad_id(given) == expected


def test_layout_is_that_of_a_breakpad_store(tmp_path: Path) -> None:
    store = filled_store(tmp_path)
    files = {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}
    folder = f"MyApp/{DEBUG_ID}/MyApp"
    assert files == {f"{folder}.sym", f"{folder}.symcache", f"{folder}.cfi", f"{folder}.json"}
    assert (store.root / f"{folder}.sym").read_text() == SYM
    (entry,) = store.entries()
    assert (entry.debug_file, entry.debug_id, entry.functions, entry.cfi) == ("MyApp", DEBUG_ID, "debug", True)


@pytest.mark.usefixtures("in_process")
def test_windows_files_lose_the_suffix_of_the_program_database(tmp_path: Path) -> None:
    file = tmp_path / "anything.sym"
    file.write_text(SYM.replace(f"Linux x86_64 {DEBUG_ID} MyApp", f"windows x86_64 {DEBUG_ID} my.app.pdb"))
    store = Store(tmp_path / "symbols")
    store.add(file)
    assert (store.root / "my.app.pdb" / DEBUG_ID / "my.app.sym").is_file()


def test_debug_information_adds_to_a_stripped_library(tmp_path: Path) -> None:
    store = Store(tmp_path / "symbols")
    added = [(LIBGAME, "symtab", None), (LIBGAME_DEBUG, "debug", 13), (LIBGAME, "debug", 13)]
    for file, functions, line in added:
        (entry,) = store.add(file)
        assert (entry.debug_file, entry.functions, entry.cfi) == ("libgame.so", functions, True)
        symcache = store.file("libgame.so", entry.debug_id, ".symcache")
        assert symcache is not None
        (name,) = Names(symcache).at(0x1020)
        assert (name.function, name.line) == ("game_score", line)
    (entry,) = store.entries()
    assert entry.sources == ("libgame.so (elf)", "libgame.so.debug (elf)")


def test_the_id_finds_a_module_whose_file_was_renamed(tmp_path: Path) -> None:
    store = filled_store(tmp_path)
    assert store.find("/opt/MyApp/MyApp", DEBUG_ID) == store.find("C:\\other.pdb", DEBUG_ID) != None  # noqa: E711 - a chain
    assert store.find("MyApp", DEBUG_ID.replace("A", "B")) is None


@pytest.mark.parametrize("debug_id", ["", "..", "../../x", DEBUG_ID.lower(), "0" * 100, "*"])
def test_ids_that_are_none_find_nothing(debug_id: str, tmp_path: Path) -> None:
    assert filled_store(tmp_path).find("MyApp", debug_id) is None


@pytest.mark.parametrize("name", ["", "..", "/", "a\0b", "..\\..", "*"])
def test_names_lead_nowhere_else(name: str, tmp_path: Path) -> None:
    store = filled_store(tmp_path)
    place = store.find(name, DEBUG_ID)
    assert place is not None
    assert place.is_relative_to(store.root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no symbols"),
        (b"\x7fELF damaged", "no symbols that can be read"),
        (b"MZ", "no symbols"),
        (b"MODULE Linux x86_64 " + b"0" * 33 + b" MyApp\nFUNC 10 10 0 main\n", "no debug id"),
        (f"MODULE Linux x86_64 {DEBUG_ID} ..\nFUNC 10 10 0 main\n".encode(), "cannot be the name of a folder"),
        (f"MODULE Linux x86_64 {DEBUG_ID} MyApp\n".encode(), "no symbols"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("in_process")
def test_files_without_symbols_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    store = Store(tmp_path / "symbols")
    with pytest.raises(SymbolError, match=message):
        store.add(file)
    assert list(store.root.iterdir()) == []


def test_what_the_child_process_refuses_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\x7fELF damaged")
    with pytest.raises(SymbolError, match="no symbols that can be read"):
        Store(tmp_path / "symbols").add(file)


@pytest.mark.usefixtures("in_process")
def test_broken_call_frame_information_does_not_cost_the_functions(tmp_path: Path) -> None:
    # Restore a register (0xc3) where there is no state to restore it from, as in Debian's libgcrypt.
    common, nothing = b"\x0c\x07\x08\x90\x01", b"\0"
    broken = LIBGAME.read_bytes().replace(common + nothing, common + b"\xc3")
    (tmp_path / "libgame.so").write_bytes(broken)
    (entry,) = Store(tmp_path / "symbols").add(tmp_path / "libgame.so")
    assert (entry.functions, entry.cfi) == ("symtab", False)
    assert entry.trouble.startswith("call frame information cannot be read: bad debug information: ")


def test_a_damaged_description_is_no_entry(tmp_path: Path) -> None:
    store = filled_store(tmp_path)
    (description,) = store.root.rglob("*.json")
    description.write_text("[]")
    assert list(store.entries()) == []
