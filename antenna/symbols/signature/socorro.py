# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes signatures of Mozilla's products with siggen, which has Socorro's own rules."""

import importlib.metadata
import logging
from functools import cache
from typing import Any

from antenna.minidump import Frame, Stack
from antenna.symbols.signature.facts import CrashFacts, Signature

logger = logging.getLogger(__name__)

#: The products whose signatures people look for at Crash Stats.
PRODUCTS = frozenset(
    {"Fenix", "Firefox", "Firefox Enterprise", "Focus", "MozillaVPN", "ReferenceBrowser", "SeaMonkey", "Thunderbird"}
)

# Socorro's names of systems, if they differ from ours.
_SYSTEMS = {"Windows": "Windows NT", "macOS": "Mac OS X"}


def sign(facts: CrashFacts) -> Signature | None:
    """Return the signature of a crash of one of Mozilla's products.

    Returns None for another product, and if siggen is not installed.
    """
    generator = _generator() if facts.product in PRODUCTS else None
    if generator is None:
        return None
    try:
        text = generator.generate(crash_data(facts)).signature
    except Exception as error:  # noqa: BLE001 - siggen expects what Socorro made, not what strangers sent
        # Its message may quote an annotation, which may be private.
        logger.warning("siggen failed: %s", type(error).__name__)
        return None
    if not text or (text.startswith("EMPTY:") and facts.trouble):
        return None
    guess = facts.stack is not None and all(frame.is_guess for frame in facts.stack.frames)
    return Signature(text, f"siggen {importlib.metadata.version('siggen')}", is_guess=guess)


@cache
def _generator() -> Any:
    """Return siggen's generator, or None if `make symbols` has not installed it. Its import takes 0.2 s."""
    try:
        from siggen.generator import SignatureGenerator  # noqa: PLC0415 - most programs make no signature
    except ImportError:
        return None
    return SignatureGenerator()


def crash_data(facts: CrashFacts) -> dict[str, Any]:
    """Return the data that siggen needs, in the structure that its schema.rst describes."""
    java = facts.parsed("JavaException")
    shutdown = facts.text("AsyncShutdownTimeout")
    data: dict[str, Any] = {
        "crashing_thread": facts.crashing_thread,
        "reason": facts.reason or None,
        "os": _SYSTEMS.get(facts.os, facts.os),
        "threads": [_thread(stack) for stack in facts.stacks],
        "java_stack_trace": facts.text("JavaStackTrace") or None,
        "java_exception": java if isinstance(java, dict) else None,
        "oom_allocation_size": facts.number("OOMAllocationSize"),
        "js_large_allocation_failure": facts.text("JSLargeAllocationFailure") or None,
        "abort_message": facts.text("AbortMessage") or None,
        "async_shutdown_timeout": shutdown or None,
        "ipc_channel_error": facts.text("ipc_channel_error") or None,
        "ipc_message_name": facts.text("IPCMessageName") or None,
        "additional_minidumps": [name for name in facts.dump_names if name != "upload_file_minidump"],
        "hang": facts.text("Hang") or None,
    }
    return data


def _thread(stack: Stack) -> dict[str, Any]:
    return {"frames": [_frame(frame) for frame in stack.frames], "frame_count": len(stack.frames)}


def _frame(frame: Frame) -> dict[str, Any]:
    return {
        "frame": frame.index,
        "function": frame.function,
        "file": frame.file,
        "line": frame.line,
        "module": None if frame.module is None else frame.module.name,
        "module_offset": None if frame.module_offset is None else f"0x{frame.module_offset:x}",
        "offset": f"0x{frame.instruction:x}",
        "trust": frame.trust.value,
        "inlines": [{"function": one.function, "file": one.file, "line": one.line} for one in frame.inlines],
    }
