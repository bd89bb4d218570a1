# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""All inputs of the corpus keep the promises: the first inputs of the fuzzer, and those that it has found."""

import pytest

from tests.fuzz.corpus import FINDINGS, findings, seeds
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    inputs = list(seeds(target))
    assert inputs
    for data in inputs:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_findings(target: str) -> None:
    for path in findings(target):
        print(path)  # shown if the next one fails
        TARGETS[target](path.read_bytes())


def test_every_finding_belongs_to_a_target() -> None:
    assert {path.name for path in FINDINGS.iterdir()} <= {*TARGETS, "expensive"}
