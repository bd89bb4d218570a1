# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Headers of parts are read as the clients that write them mean them."""

import time

import pytest

from antenna.limits import MAX_PARAMETERS
from antenna.payload.headers import PartHead, parse_headers, parse_parameters, read_head


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        (b"Content-Type: text/plain", {"content-type": "text/plain"}),
        (b"CONTENT-TYPE:text/plain", {"content-type": "text/plain"}),
        (b"Content-Type : \t text/plain \t", {"content-type": "text/plain"}),
        (b"A: 1\r\nB: 2", {"a": "1", "b": "2"}),
        (b"A: 1\r\na: 2", {"a": "1"}),
        (b"A: 1\r\n two\r\n\tthree", {"a": "1 two\tthree"}),
        (b"no header\r\nA: 1", {"a": "1"}),
        (b": 1", {"": "1"}),
        (b"A:", {"a": ""}),
        (b"A: b: c", {"a": "b: c"}),
        (b"", {}),
        ("A: ä".encode(), {"a": "ä"}),
        ("A: ä".encode("latin-1"), {"a": "ä"}),
        (b"A: \xff\x00\x1b", {"a": "ÿ\0\x1b"}),
        (b"A: 1\nB: 2", {"a": "1\nB: 2"}),
    ],
)
def test_parse_headers(block: bytes, headers: dict[str, str]) -> None:
    assert parse_headers(b"\r\n" + block) == headers


@pytest.mark.parametrize(
    ("header", "value", "parameters"),
    [
        ('form-data; name="a"; filename="b.dmp"', "form-data", {"name": "a", "filename": "b.dmp"}),
        ("form-data; name=a; filename=b.dmp", "form-data", {"name": "a", "filename": "b.dmp"}),
        ('Form-Data;NAME="a"', "form-data", {"name": "a"}),
        ('form-data ; name = "a" ; filename = "b"', "form-data", {"name": "a", "filename": "b"}),
        ('form-data; name="a;b=c"; d=e', "form-data", {"name": "a;b=c", "d": "e"}),
        (r'form-data; name="a\"b\\c\d"', "form-data", {"name": r'a"b\c\d'}),
        (r'form-data; name="a\\\"b\\"', "form-data", {"name": 'a\\"b\\'}),
        ('form-data; name="a', "form-data", {"name": "a"}),
        ('form-data; name="a\\', "form-data", {"name": "a\\"}),
        (r'form-data; name="a\"', "form-data", {"name": "a\\"}),
        (r'form-data; name="a\";', "form-data", {"name": "a\\"}),
        (r'form-data; name="a\" ', "form-data", {"name": "a\\"}),
        (r'form-data; name="\"', "form-data", {"name": "\\"}),
        (r'form-data; name="a\"; filename="b"', "form-data", {"name": "a\\", "filename": "b"}),
        (r'form-data; name="a\" ; filename=b', "form-data", {"name": "a\\", "filename": "b"}),
        (r'form-data; filename="C:\d\"; name="a"', "form-data", {"filename": "C:\\d\\", "name": "a"}),
        (r'form-data; filename="C:\d\"; name*=utf-8\'\'a', "form-data", {"filename": "C:\\d\\", "name": "a"}),
        (r'form-data; name="\"; filename="\"', "form-data", {"name": "\\", "filename": "\\"}),
        (r'form-data; name="a\\"; filename="b\\\"; c=d', "form-data", {"name": "a\\", "filename": "b\\\\", "c": "d"}),
        (r'form-data; name="a\"b\"; filename="c"', "form-data", {"name": 'a"b\\', "filename": "c"}),
        (r'form-data; name="a\";b"', "form-data", {"name": 'a";b'}),
        (r'form-data; name="a\"; b"', "form-data", {"name": 'a"; b'}),
        ('form-data; name=""', "form-data", {"name": ""}),
        ("form-data; name=", "form-data", {"name": ""}),
        ("form-data; name", "form-data", {}),
        ("form-data; name; filename=b", "form-data", {"filename": "b"}),
        ('form-data; name="a"x; filename=b', "form-data", {"name": "a", "filename": "b"}),
        ('form-data; name="a"; name="b"', "form-data", {"name": "a"}),
        ("form-data; name=a b", "form-data", {"name": "a b"}),
        ("form-data; name=a=b", "form-data", {"name": "a=b"}),
        ('form-data; name="%22a%22"', "form-data", {"name": "%22a%22"}),
        ('form-data; name="ä\0\n"', "form-data", {"name": "ä\0\n"}),
        ('form-data; name="a%0D%0Ab"', "form-data", {"name": "a%0D%0Ab"}),
        ("form-data;;;", "form-data", {}),
        ("form-data", "form-data", {}),
        ("", "", {}),
        (";name=a", "", {"name": "a"}),
        ("=", "=", {}),
    ],
)
def test_parse_parameters(header: str, value: str, parameters: dict[str, str]) -> None:
    assert parse_parameters(header) == (value, parameters)


def test_no_header_has_more_parameters_than_are_looked_at() -> None:
    _, parameters = parse_parameters("form-data" + "".join(f"; p{number}=1" for number in range(1000)))

    assert len(parameters) == MAX_PARAMETERS


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        pytest.param("name*=utf-8''caf%C3%A9", "café", id="UTF-8"),
        pytest.param("name*=UTF-8'en'%e2%82%ac%20rates", "€ rates", id="language"),
        pytest.param("name*=iso-8859-1''%A3", "£", id="ISO 8859-1"),
        pytest.param("NAME*=ISO-8859-1'en'%A3", "£", id="upper case"),
        pytest.param("name*=windows-1252''%80", "€", id="Windows-1252"),
        pytest.param("name*=us-ascii''a%22b%5C", 'a"b\\', id="ASCII"),
        pytest.param("name*=koi8-r''a%C3%A9", "aé", id="unknown charset, bytes that are UTF-8"),
        pytest.param("name*=koi8-r''%C1", "Á", id="unknown charset, other bytes"),
        pytest.param("name*=''caf%C3%A9", "café", id="no charset"),
        pytest.param("name*=caf%C3%A9", "café", id="no quotes"),
        pytest.param("name*=\"utf-8''caf%C3%A9\"", "café", id="quoted"),
        pytest.param("name*=utf-8''%FF", "ÿ", id="not in its charset"),
        pytest.param("name*=us-ascii''%C3%A9", "Ã©", id="not in its charset, ASCII"),
        pytest.param("name*=utf-8''100%", "100%", id="half an escape"),
        pytest.param("name*=utf-8''%zz%4", "%zz%4", id="escapes that are none"),
        pytest.param("name*=utf-8''it's", "it's", id="another quote"),
        pytest.param("name*=utf-8''", "", id="empty"),
        pytest.param("name*=utf-8''é", "é", id="not encoded"),
        pytest.param("name=a; name*=utf-8''b", "b", id="goes before name"),
        pytest.param("name*=utf-8''b; name=a", "b", id="goes before name, whatever comes first"),
        pytest.param("name*=utf-8''a; name*=utf-8''b", "a", id="twice"),
        pytest.param("name*0=a; name*1=b", "ab", id="two sections"),
        pytest.param('name*1="c d"; name*0="a; "', "a; c d", id="sections in another order"),
        pytest.param("name*0*=utf-8''a%C3; name*1*=%A9b; name*2=%41", "aéb%41", id="sections with escapes"),
        pytest.param("name*0*=iso-8859-1''%E9; name*1*=%E9", "éé", id="sections in ISO 8859-1"),
        pytest.param("name*0=a; name*2=c", "a", id="a section is missing"),
        pytest.param("name*0=a; name=b", "a", id="sections go before name"),
        pytest.param("name*0=a; name*=utf-8''b", "b", id="and after name*"),
        pytest.param(
            "".join(f"name*{number}={number % 10}; " for number in range(12)), "012345678901", id="many sections"
        ),
        pytest.param("name*1=b", None, id="no first section"),
        pytest.param("name*x=b; **=c; *=d", None, id="other asterisks"),
    ],
)
def test_name_with_an_asterisk(parameters: str, name: str | None) -> None:
    assert parse_parameters(f"form-data; {parameters}")[1].get("name") == name


@pytest.mark.parametrize(
    ("block", "head"),
    [
        ("", PartHead(None, has_file_name=False, media_type="", charset="utf-8", transfer_encoding="")),
        (
            "Content-Disposition: form-data; name=a; filename=b\r\nContent-Type: Text/Plain; Charset=LATIN1",
            PartHead("a", has_file_name=True, media_type="text/plain", charset="LATIN1", transfer_encoding=""),
        ),
        (
            "Content-Disposition: form-data; name=a\r\ncontent-transfer-encoding: BASE64 ; x=y",
            PartHead("a", has_file_name=False, media_type="", charset="utf-8", transfer_encoding="base64"),
        ),
    ],
)
def test_read_head(block: str, head: PartHead) -> None:
    assert read_head(block.encode()) == head
    assert read_head(block.encode() + b"\r\nX: " + b"x" * 1000) == head


@pytest.mark.parametrize(
    ("parameters", "has_file_name"),
    [
        ("filename=b", True),
        ('filename="b"', True),
        ("filename*=utf-8''b", True),
        ("filename*0=b", True),
        ('filename=" "', True),
        ('filename=""', False),
        ("filename=", False),
        ("filename*=utf-8''", False),
        ("filename*0=", False),
        ("filename", False),
        ("filename=; filename*=utf-8''b", True),
    ],
)
def test_file_name(parameters: str, has_file_name: bool) -> None:
    assert read_head(f"Content-Disposition: form-data; name=a; {parameters}".encode()).has_file_name is has_file_name


@pytest.mark.parametrize(
    "value",
    [
        '"' + '\\"' * 8000,
        '"' + '\\" ;' * 4000,
        '"' + '\\"; a' * 3000,
        '"' + "\\" * 16_000,
        "*" * 16_000,
        '"' + '\\"' + " " * 16_000,
    ],
    ids=["quotes", "semicolons", "parameters", "backslashes", "asterisks", "blanks"],
)
def test_time_is_linear_in_the_size(value: str) -> None:
    begun = time.thread_time()
    parse_parameters(f"form-data; name={value}")

    assert time.thread_time() - begun < 0.1
