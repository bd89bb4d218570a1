# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each dump is stored under its own key, whatever names clients give."""

import re

from hypothesis import given
from hypothesis import strategies as st

from antenna.crash.dump_names import MINIDUMP, RESERVED, assign, object_key

_TAKEN = [MINIDUMP, "dump", "", "a", "a_1", "a_2", "unnamed_1", "dump_1", "x" * 30, "x" * 27 + "_1", f"{MINIDUMP}_1"]
names = st.lists(st.sampled_from(_TAKEN) | st.text("ab_1", max_size=4), max_size=32)


@given(names=names)
def test_assign(names: list[str]) -> None:
    assigned = assign(names)
    keys = [object_key(name) for name in names]

    assert len(assigned) == len(names)
    assert len({object_key(name) for name in assigned}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,30}", name) for name in assigned)
    assert not RESERVED & set(assigned)
    for name, now in zip(names, assigned, strict=True):
        if name and keys.count(object_key(name)) == 1:
            assert now == name, "nobody else wants it"
        if name and name != now:
            assert object_key(name) in {object_key(each) for each in assigned}, "somebody else has it"
    if MINIDUMP in names:
        assert assigned[names.index(MINIDUMP)] == MINIDUMP
