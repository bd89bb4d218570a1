# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Shorter intervals reach the modules of a program, and a constant that is not there is an error."""

import importlib
import sys
from pathlib import Path

import pytest

from tests.support.intervals import shorten, shortened


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of modules, on the path of this process as of a program that is just starting."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return tmp_path


def test_constants_are_set_when_their_module_is_imported(program: Path) -> None:
    (program / "patient_program.py").write_text("INTERVAL = 60.0\nLEASE = 180\nOTHER = 5.0\n")
    shorten(shortened({"patient_program.INTERVAL": 0.5, "patient_program.LEASE": 4}))

    module = importlib.import_module("patient_program")

    assert (module.INTERVAL, module.LEASE, module.OTHER) == (0.5, 4, 5.0)


def test_constant_that_is_not_there_ends_the_program(program: Path) -> None:
    (program / "changed_program.py").write_text("PAUSE = 60.0\n")
    shorten(shortened({"changed_program.INTERVAL": 0.5}))

    with pytest.raises(AttributeError, match="changed_program has no INTERVAL"):
        importlib.import_module("changed_program")


def test_module_that_is_not_there_is_noticed_before_the_program_starts() -> None:
    with pytest.raises(AssertionError, match="renamed"):
        shortened({"antenna.ops.renamed._SEND": 0.5})


def test_paths_are_added_to_those_of_the_program(tmp_path: Path) -> None:
    environment = shortened({"a._B": 1}, tmp_path)

    assert environment["INTERVALS"] == "a._B=1"
    assert environment["PYTHONPATH"].endswith(f":{tmp_path}")
