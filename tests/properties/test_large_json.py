# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""JSON that is encoded piece by piece is the same as JSON that is encoded in one go."""

import json
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from antenna.crash import large_json
from tests.support.sent_reports import json_values, names, odd_text

# This includes halves of surrogate pairs, and two halves that look like a pair.
any_text = st.text(st.characters(exclude_categories=[])) | st.text('\ud83d\ude00\N{PILE OF POO}"\\') | odd_text
values = json_values | any_text | st.lists(any_text) | st.dictionaries(names | any_text, any_text)


@given(value=st.dictionaries(names | any_text, values), size=st.integers(1, 20))
def test_is_as_in_one_go(value: dict[str, Any], size: int) -> None:
    with mock.patch.multiple(large_json, _SLICE=size, _PIECE=size):
        pieces = list(large_json.encode_in_pieces(value))

    assert b"".join(pieces) == json.dumps(value, sort_keys=True).encode("ascii")
    # A piece ends with the token that makes it long enough, and twelve bytes are the most that a character takes.
    assert max(map(len, pieces)) <= size + max(12 * size, 30)
