# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The text of an option becomes its value, or an error that says what was expected."""

import pathlib
import sys
from collections import OrderedDict
from typing import Any

import pytest

from antenna.config.parsers import (
    Parser,
    bounded,
    one_of,
    parse_attribute,
    parse_bool,
    parse_class,
    parse_dsn,
    parse_duration,
    parse_int,
    parse_listen_address,
    parse_metric_prefix,
    parse_size,
    subclass_of,
)

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("parser", "text", "value"),
    [
        (parse_size, "26214400", 26214400),
        (parse_size, "25MiB", 25 * MIB),
        (parse_size, "25 mib", 25 * MIB),
        (parse_size, " 1.5GiB ", 1536 * MIB),
        (parse_size, "200 MB", 200_000_000),
        (parse_size, "64kB", 64_000),
        (parse_size, "64KiB", 65_536),
        (parse_size, "2GB", 2_000_000_000),
        (parse_size, "12B", 12),
        (parse_size, "0", 0),
        (parse_duration, "60", 60.0),
        (parse_duration, "60s", 60.0),
        (parse_duration, "500ms", 0.5),
        (parse_duration, "2m", 120.0),
        (parse_duration, "1 h", 3600.0),
        (parse_duration, "0.5", 0.5),
        (parse_listen_address, "", ""),
        (parse_listen_address, "127.0.0.1", "127.0.0.1"),
        (parse_listen_address, "::", "::"),
        (parse_listen_address, "[::1]", "::1"),
        (parse_listen_address, " 2001:DB8::1 ", "2001:db8::1"),
        (parse_listen_address, "localhost", "localhost"),
        (parse_listen_address, "pod-1.my_service.example.", "pod-1.my_service.example."),
        (parse_int, "8000", 8000),
        (parse_int, "-3", -3),
        (parse_bool, "true", True),
        (parse_bool, "Yes", True),
        (parse_bool, "0", False),
        (parse_bool, "OFF", False),
        (parse_dsn, "", ""),
        (parse_dsn, "https://public@sentry.example.com/42", "https://public@sentry.example.com/42"),
        (parse_dsn, "http://public:secret@127.0.0.1:8090/path/1", "http://public:secret@127.0.0.1:8090/path/1"),
        (parse_metric_prefix, "antenna.prod_1", "antenna.prod_1"),
        (parse_metric_prefix, "", ""),
        (parse_class, "collections.OrderedDict", OrderedDict),
        (parse_attribute, "sys.byteorder", sys.byteorder),
        (one_of("INFO", "DEBUG"), "debug", "DEBUG"),
        (bounded(parse_size, "1KiB", "1MiB"), "1KiB", 1024),
        (bounded(parse_size, "1KiB", "1MiB"), "1MiB", MIB),
    ],
)
def test_good_text_becomes_a_value(parser: Parser[Any], text: str, value: object) -> None:
    assert parser(text) == value
    assert type(parser(text)) is type(value)


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        *(
            (parse_size, text)
            for text in ("", "-1", "+1", "25 potatoes", "MiB", "25MiB25", "1e6", "0x10", "1_000", "٣")
        ),
        *((parse_size, text) for text in ("nan", "inf", "25  MiB", "25M", "25MiB\n;", "9" * 10_000)),
        *((parse_duration, text) for text in ("", "-1s", "60 parsecs", "s", "1h30m", "nan", "infinity", "1:30", "٣s")),
        *((parse_int, text) for text in ("", "1.0", "1_0", "٣", "0x1", "one", "9" * 5_000)),
        *((parse_bool, text) for text in ("", "2", "truee", "nope")),
        *(
            (parse_dsn, text)
            for text in ("sentry", "https://host/1", "https://key@host/", "ftp://key@host/1", "http://[")
        ),
        *(
            (parse_listen_address, text)
            for text in ("127.0.0.1:80", "[127.0.0.1]", "[]", "300.0.0.1", "fe80::1%lo", "no name")
        ),
        *((parse_metric_prefix, text) for text in (".", "a..b", "a b", "a:1|c", "a\nb", "a.")),
        *((one_of("a", "b"), text) for text in ("", "c", "a b")),
        *((bounded(parse_int, "1", "65535"), text) for text in ("0", "65536", "x")),
        *((bounded(parse_duration, "1s"), text) for text in ("999ms", "0")),
    ],
)
def test_bad_text_is_refused_with_what_was_expected_and_without_the_text(parser: Parser[Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        parser(text)

    assert str(caught.value) == f"expected {parser.expected}"
    # The text may be a secret: not even a traceback shows it.
    assert caught.value.__suppress_context__


def test_limits_are_part_of_what_is_expected() -> None:
    assert bounded(parse_int, "1", "65535").expected == "an integer, from 1 to 65535"
    assert bounded(parse_duration, "1s").expected.endswith(", at least 1s")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "expected the dotted path of a Python class"),
        ("OrderedDict", "expected the dotted path of a Python class"),
        ("collections.", "expected the dotted path of a Python class"),
        ("collections.abc", "expected the dotted path of a Python class"),
        ("no_such_package.Class", "there is no module no_such_package"),
        ("collections.no_such.Class", "there is no module collections.no_such"),
        ("collections.NoSuchClass", "module collections has no attribute NoSuchClass"),
    ],
)
def test_class_that_cannot_be_had_is_refused_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^expected the dotted path of a Python class") as caught:
        parse_class(path)

    assert reason in str(caught.value)


def test_class_of_another_kind_is_refused() -> None:
    parse = subclass_of(dict)

    assert parse("collections.OrderedDict") is OrderedDict
    with pytest.raises(ValueError, match=r"^expected the dotted path of a class derived from builtins\.dict$"):
        parse("collections.deque")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\nTOKEN = secret", "NameError at storage_of_ours.py:2"),
        ("raise RuntimeError('secret')", "RuntimeError at storage_of_ours.py:1"),
        ("class Away(Exception):\n public_reason = 'none'\nraise Away('secret')", "Away at storage_of_ours.py:3: none"),
        ("secret = = 1", "SyntaxError at storage_of_ours.py:1"),
        ("import no_such_package", "there is no module no_such_package"),
    ],
)
def test_module_that_fails_to_import_is_refused_without_what_its_error_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    (tmp_path / "storage_of_ours.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("storage_of_ours", None)

    with pytest.raises(ValueError, match=f"; {reason}$") as caught:
        parse_attribute("storage_of_ours.Storage")
    assert "secret" not in str(caught.value)
