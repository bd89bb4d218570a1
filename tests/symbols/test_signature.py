# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Signatures, by which crashes are grouped."""

import json
from typing import Any

import pytest

from antenna.minidump import Frame, Module, Registers, Stack, Trust
from antenna.minidump.cpu import AMD64
from antenna.symbols.signature import CrashFacts, sign
from antenna.symbols.signature.own import normalised


def module(name: str) -> Module:
    return Module(0x1000, 0x100000, f"/opt/{name}", "", name, "", None)


def stack(*frames: str) -> Stack:
    """Return a stack. A frame is written like ``MyApp!main``, ``MyApp+10``, ``?MyApp!guessed`` or ``@0``."""
    made = []
    for index, text in enumerate(frames):
        trust = Trust.SCAN if text.startswith("?") else Trust.CFI
        name, is_named, function = text.removeprefix("?").partition("!")
        name, _, offset = name.partition("+")
        if name.startswith("@"):
            where, address = None, int(name[1:], 16)
        else:
            where, address = module(name), 0x1000 + int(offset or "0", 16)
        registers = Registers(AMD64, {"rip": address, "rsp": index})
        made.append(Frame(index, address, trust, registers, where, function if is_named else None))
    return Stack(tuple(made))


def facts(*frames: str, **changes: Any) -> CrashFacts:
    known: dict[str, Any] = {"product": "MyApp", "os": "Linux", "reason": "SIGSEGV / SEGV_MAPERR"}
    return CrashFacts(**(known | {"stacks": (stack(*frames),), "crashing_thread": 0} | changes))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (["MyApp!World::tick(int)", "MyApp!main"], "World::tick"),
        (["MyApp+1f2", "MyApp!main"], "MyApp+0x1f2"),
        (["libc.so.6!memcpy", "libm.so.6!std::copy", "MyApp!World::draw"], "World::draw"),
        (["libc.so.6!raise", "libc.so.6!abort", "MyApp!logging::CheckError::~CheckError()", "MyApp!f"],
         "logging::CheckError::~CheckError | f"),
        (["MyApp!std::terminate()", "MyApp!operator new(unsigned long)", "MyApp!Level::load(std::string)"],
         "std::terminate | operator new(unsigned long) | Level::load"),
        (["MyApp!core::panicking::panic_fmt", "MyApp!game::tick::h0123456789abcdef"],
         "core::panicking::panic_fmt | game::tick"),
        (["ntdll.dll!RtlUserThreadStart", "kernel32.dll+10"], "RtlUserThreadStart"),
        (["@0", "MyApp!main"], "@0x0 | main"),
        (["@7fff12345678", "MyApp!main"], "main"),
        (["libc.so.6!memcpy", "?MyApp!guessed"], "memcpy"),
        (["libc.so.6+99", "?MyApp!guessed"], "libc.so.6+0x99"),
    ],
)  # fmt: skip
def test_signature_is_the_first_frame_of_ones_own_that_can_be_trusted(frames: list[str], expected: str) -> None:
    signature = sign(facts(*frames))
    assert signature.text == expected
    assert signature.rules == "antenna 2"
    assert not signature.is_guess


def test_guessed_frames_count_only_if_there_is_nothing_else() -> None:
    signature = sign(facts("@7fff12345678", "?MyApp!guessed"))
    assert signature.text == "guessed"
    assert signature.is_guess


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector<T>::push_back"),
        ("(anonymous namespace)::Foo::bar(int) const", "(anonymous namespace)::Foo::bar"),
        ("a::(anonymous namespace)::f(int)", "a::(anonymous namespace)::f"),
        ("foo<bar<int>>::operator<(int)", "foo<T>::operator<(int)"),
        ("<T as core::Foo>::bar", "<T as core::Foo>::bar"),
        ("core::ops::FnOnce::call_once::h0123456789abcdef", "core::ops::FnOnce::call_once"),
        ("f(int) [clone .cold]", "f"),
        ("die.cold", "die"),
        ("f.constprop.0.isra.1", "f"),
        ("f.llvm.1234567890abcdef", "f"),
        ("a.partial", "a.partial"),
        ("main", "main"),
        ("()", "()"),
        ("<<<(((", "<<<((("),
    ],
)
def test_functions_lose_what_changes_while_the_cause_stays(name: str, expected: str) -> None:
    assert normalised(name) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"annotations": {"OOMAllocationSize": "1024"}}, "OOM | small"),
        ({"annotations": {"OOMAllocationSize": 1048576}}, "OOM | large | f"),
        ({"annotations": {"OOMAllocationSize": "many"}}, "f"),
        ({"reason": "STATUS_NO_MEMORY"}, "OOM | unknown | f"),
        ({"reason": "EXCEPTION_STACK_OVERFLOW"}, "stackoverflow | f"),
        ({"annotations": {"ipc_channel_error": "ShutDownKill"}}, "IPCError-content | ShutDownKill"),
        ({"annotations": {"ipc_channel_error": "ShutDownKill"}, "dump_names": ["upload_file_minidump_browser"]},
         "IPCError-browser | ShutDownKill"),
        ({"annotations": {"Hang": "1"}}, "hang: 1 | f"),
        ({"is_crash": False}, "no crash | f"),
    ],
)  # fmt: skip
def test_circumstances_are_named_as_socorro_names_them(changes: dict[str, Any], expected: str) -> None:
    assert sign(facts("MyApp!f", **changes)).text == expected


TRACE = """\
java.lang.IllegalStateException: the user's secret
\tat java.util.Optional.get(Optional.java:10)
\tat com.example.game.Level.load(Level.java:42)
\tat android.app.Activity.onCreate(Activity.java:7)
"""


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("JavaStackTrace", TRACE, "java.lang.IllegalStateException: at com.example.game.Level.load(Level.java)"),
        ("JavaStackTrace", "java.lang.Error", "java.lang.Error"),
        ("JavaStackTrace", "a.B: x\n\tat java.C.d(Native Method)", "a.B: at java.C.d(Native Method)"),
        ("JavaException", {"exception": {"values": [{"stacktrace": {
            "module": "kotlin", "type": "KotlinNullPointerException", "frames": [
                {"module": "kotlin.Foo", "function": "bar", "filename": "Foo.kt"},
                {"module": "org.example.Main", "function": "run", "filename": "Main.kt", "lineno": 3}]}}]}},
         "kotlin.KotlinNullPointerException: at org.example.Main.run(Main.kt)"),
        ("JavaException", {"exception": []}, "EMPTY: the Java exception is not in the format that is known"),
    ],
)  # fmt: skip
def test_java_exceptions_are_signed_without_their_message(annotation: str, value: Any, expected: str) -> None:
    for form in (value, json.dumps(value)) if isinstance(value, dict) else (value,):
        known = CrashFacts({annotation: form}, "MyApp", trouble="there is no minidump")
        assert sign(known).text == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (CrashFacts(trouble="there is no minidump"), "EMPTY: there is no minidump"),
        (facts(crashing_thread=None), "EMPTY: the dump does not say which thread crashed"),
        (facts("@7fff12345678"), "EMPTY: no frame lies in a module that is known"),
    ],
)
def test_without_anything_to_sign_the_signature_says_why(known: CrashFacts, expected: str) -> None:
    assert sign(known).text == expected


def test_mozillas_products_get_socorros_signatures() -> None:
    frames = ("libc.so.6!raise", "libxul.so!mozalloc_abort", "libxul.so!NS_DebugBreak", "libxul.so!nsFoo::Bar(int)")
    signature = sign(facts(*frames, product="Firefox"))
    assert signature.rules.startswith("siggen ")
    assert signature.text.endswith("nsFoo::Bar")


@pytest.mark.parametrize("hostile", [{"OOMAllocationSize": []}, {"AsyncShutdownTimeout": "[1"}, {"JavaException": [5]}])
def test_odd_annotations_of_mozillas_products_do_no_harm(hostile: dict[str, Any]) -> None:
    assert sign(facts("libxul.so!f", product="Firefox", annotations=hostile)).text


def test_long_signatures_are_cut() -> None:
    assert len(sign(facts("MyApp!" + "f" * 10_000)).text) == 255
