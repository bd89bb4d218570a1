# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The project's own rules for signatures.

1. For a Java exception, it is the class, and the first frame that belongs neither to Java nor to Android.
2. For a native crash, it is the first frame of the crashing thread that can be trusted and is not in a library of the
   system. If that is a function that only reports a problem, such as an assertion, the next frame follows after `` |
   ``. A frame without a function is ``module+0xoffset``.
3. If all frames that can be trusted are in the system, it is the innermost of them. If no frame can be trusted, it is a
   guessed one.
4. The words in front are those of Socorro in the same cases: ``OOM | small``, ``shutdownhang``, ``stackoverflow``, ...
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from antenna.minidump import Frame
from antenna.symbols.signature.facts import CrashFacts, Signature

RULES = "antenna 2"

# Characters of a signature. Socorro has the same limit.
_LONGEST = 255

# Bytes. If an allocation of at most this size fails, there was no memory at all. Socorro has the same limit.
_SMALL_ALLOCATION = 256 * 1024

# Packages of Java classes that are not the application's.
_JAVA_SYSTEM = (
    *("java.", "javax.", "jdk.", "sun.", "kotlin.", "kotlinx."),
    *("android.", "androidx.", "com.android.", "dalvik.", "libcore."),
)
_JAVA_FRAME = re.compile(r"\s*at (?P<method>[^(\s]+)\((?P<source>[^):]*)")

# Names of the system's libraries, in lower case and without their versions.
_SYSTEM_MODULES = re.compile(
    r"""
    ntdll\.dll | kernel(32|base)\.dll | user32\.dll | win32u\.dll | gdi32\.dll | ucrtbase\.dll | msvcp\d+\.dll
    | msvcrt\.dll | vcruntime\d+(_1)?\.dll | combase\.dll | rpcrt4\.dll
    | lib(c|m|pthread|dl|rt|stdc\+\+|c\+\+|c\+\+abi|gcc_s|log|art|binder|utils|unwind)([-.].*)?
    | ld(-linux.*|-musl.*|-[\d.]+)\.so.* | linux-(gate|vdso)\.so.* | \[vdso\] | linker(64)? | app_process(32|64)?
    | libsystem_\w+\.dylib | libsystem\.b\.dylib | dyld | libobjc(\..*)? | libdispatch(\..*)?
    | corefoundation | foundation | appkit | uikit(core)?
    """,
    re.VERBOSE,
)

# Functions that report a problem of their caller.
_REPORTERS = re.compile(
    r"""
    @0x[0-9a-f]+ | _*abort(_message)? | raise | _*assert(_fail|_rtn)?.*
    | .*\bpanic\w*(::.*)? | rust_(begin_unwind|panic).*
    | _?_cxa_(throw|rethrow|bad_cast|pure_virtual) | std::(terminate|__throw_\w+)(\(.*)? | operator\ new.*
    | .*\b(ImmediateCrash|CheckError|CheckFailure|LogMessageFatal|MOZ_Crash\w*|HandleAssert\w*|FatalError)\b.*
    | (core|std)::(result|option)::(unwrap|expect)_failed | .*\bhandle_alloc_error | .*\bOnOutOfMemory\b.*
    """,
    re.VERBOSE,
)


# Endings that GCC and LLVM give to functions that they have split or copied, and the hashes of Rust.
_OF_THE_COMPILER = re.compile(
    r"(\.(cold|part|constprop|isra|lto_priv|localalias|llvm|clone)(\.[0-9a-f]+)*)+$ | ::h[0-9a-f]{16}$", re.VERBOSE
)


def sign(facts: CrashFacts) -> Signature:
    """Return the signature of a crash."""
    java = _sign_java(facts)
    if java:
        return Signature(java[:_LONGEST], RULES)
    signature = _sign_native(facts)
    return replace(signature, text=_with_circumstances(facts, signature.text)[:_LONGEST])


def _sign_java(facts: CrashFacts) -> str:
    exception = facts.parsed("JavaException")
    if isinstance(exception, dict):
        return _sign_java_exception(exception)
    return _sign_java_text(facts.text("JavaStackTrace"))


def _sign_java_exception(exception: dict[str, Any]) -> str:
    """Sign an exception of Mozilla's JSON schema. Its first value is the one where a chain of exceptions began."""
    values = exception.get("exception")
    values = values.get("values") if isinstance(values, dict) else None
    first = values[0] if isinstance(values, list) and values else None
    stack = first.get("stacktrace") if isinstance(first, dict) else None
    if not isinstance(stack, dict):
        return "EMPTY: the Java exception is not in the format that is known"
    name = ".".join(filter(None, (_text(stack, "module"), _text(stack, "type") or "Unknown")))
    frames = stack.get("frames")
    calls = [
        (".".join(filter(None, (_text(frame, "module"), _text(frame, "function")))), _text(frame, "filename"))
        for frame in (frames if isinstance(frames, list) else [])
        if isinstance(frame, dict)
    ]
    return _join_java(name, calls)


def _sign_java_text(trace: str) -> str:
    """Sign a stack trace in the form that Java prints. The message is left out, since it may have text of the user."""
    lines = trace.strip().splitlines()
    if not lines:
        return ""
    name = lines[0].partition(":")[0].strip().removeprefix("Exception in thread ").rpartition(" ")[2]
    calls = [(match["method"], match["source"]) for line in lines[1:] if (match := _JAVA_FRAME.match(line))]
    return _join_java(name, calls)


def _join_java(name: str, calls: list[tuple[str, str]]) -> str:
    own = next((call for call in calls if not call[0].startswith(_JAVA_SYSTEM)), calls[0] if calls else None)
    if own is None:
        return name
    method, source = own
    return f"{name}: at {method}({source})" if source else f"{name}: at {method}"


def _text(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _sign_native(facts: CrashFacts) -> Signature:
    stack = facts.stack
    if stack is None:
        return Signature(f"EMPTY: {facts.trouble or 'the dump does not say which thread crashed'}", RULES)
    trusted = [frame for frame in stack.frames if not frame.is_guess]
    parts = list(_parts(frame for frame in trusted if not is_system(frame)))
    if not parts:
        parts = [name for frame in trusted if (name := name_of(frame))][:1]
    if parts:
        return Signature(" | ".join(parts), RULES)
    guessed = list(_parts(frame for frame in stack.frames if not is_system(frame)))
    if guessed:
        return Signature(" | ".join(guessed), RULES, is_guess=True)
    return Signature(f"EMPTY: {stack.cut or 'no frame lies in a module that is known'}", RULES)


def _parts(frames: Iterable[Frame]) -> Iterator[str]:
    """Yield the functions that make a signature: those that report a problem, and the first that does not."""
    last = ""
    for frame in frames:
        for name in (*(normalised(inline.function) for inline in frame.inlines), name_of(frame)):
            if name and name != last:
                last = name
                yield name
                if not _REPORTERS.fullmatch(name):
                    return


def name_of(frame: Frame) -> str:
    """Return the name of a frame in a signature. It is "" if only an address is known."""
    if frame.function:
        return normalised(frame.function)
    if frame.module is not None:
        return f"{frame.module.name}+0x{frame.module_offset:x}"
    # A call of a null pointer, or of an address near null, is always the same crash.
    return f"@0x{frame.instruction:x}" if frame.instruction < 0x1000 else ""  # noqa: PLR2004 - the first page


def normalised(function: str) -> str:
    """Remove from a function what changes while the cause stays: arguments, parameters, marks of compilers."""
    name = _OF_THE_COMPILER.sub("", function.strip())
    name = _without(name, "<", ">", "T")
    if not name.startswith("operator"):
        name = _without(name, "(", ")", "")
    return re.sub(r"\s+(const|volatile|&|\[clone[^]]*\])*$", "", name).strip() or function


def _without(name: str, opening: str, closing: str, instead: str) -> str:
    """Remove the text in brackets from ``name``, except brackets that begin the name or belong to an operator."""
    kept, depth = [], 0
    for position, char in enumerate(name):
        is_bracket = position > 0 and not name[:position].rstrip("<>=-(").endswith(("operator", "(anonymous"))
        if char == opening and is_bracket and not name.startswith("(anonymous namespace)", position):
            depth += 1
            if depth == 1 and instead:
                kept.append(f"{opening}{instead}{closing}")
        elif char == closing and depth:
            depth -= 1
        elif not depth:
            kept.append(char)
    return "".join(kept) if not depth else name


def is_system(frame: Frame) -> bool:
    """Whether a frame is in a library of the system."""
    return frame.module is not None and _SYSTEM_MODULES.fullmatch(frame.module.name.lower()) is not None


def _with_circumstances(facts: CrashFacts, signature: str) -> str:
    """Put the words in front of the signature that Socorro uses in such cases, or replace it where Socorro does."""
    channel_error = facts.text("ipc_channel_error")
    if channel_error:
        where = "browser" if "upload_file_minidump_browser" in facts.dump_names else "content"
        return f"IPCError-{where} | {channel_error[:100]}"
    size = facts.number("OOMAllocationSize")
    if size and size <= _SMALL_ALLOCATION:
        # There was no memory at all, so the function that asked for so little of it is not the cause.
        return "OOM | small"
    circumstance = "OOM | large" if size else _circumstance(facts, signature)
    return f"{circumstance} | {signature}" if circumstance else signature


def _circumstance(facts: CrashFacts, signature: str) -> str:
    if facts.reason in {"STATUS_NO_MEMORY", "STATUS_FATAL_MEMORY_EXHAUSTION"}:
        return "OOM | unknown"
    if facts.reason == "EXCEPTION_STACK_OVERFLOW":
        return "stackoverflow"
    if "RunWatchdog" in signature:
        return "shutdownhang"
    hang = facts.text("Hang")
    if hang:
        return f"hang: {hang[:20]}"
    return "no crash" if not facts.is_crash and facts.stack is not None else ""
