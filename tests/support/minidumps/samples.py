# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Invented dumps for each platform and CPU. The program and its stack are the same in all of them."""

import random
from dataclasses import dataclass
from struct import pack

from tests.support.minidumps.builder import (
    TIME,
    DumpBuilder,
    ModuleSpec,
    ThreadSpec,
    elf_build_id,
    pdb_70,
)
from tests.support.minidumps.contexts import context
from tests.support.minidumps.signal_frames import amd64_frame

GUID = "11223344-5566-7788-99aa-bbccddeeff00"
BUILD_ID = bytes(range(20))
MAIN, WORKER = 4242, 4250
FILLER_STREAM = 0x54455354
"""The type of a stream that no reader knows."""


@dataclass(frozen=True)
class Platform:
    """The values that differ between platforms."""

    os: str
    cpu: str
    version: tuple[int, int, int]
    version_name: str
    code: int
    flags: int
    reason: str
    paths: tuple[str, str]
    """The names of the program and of a system library."""
    parameters: tuple[int, ...] = ()
    context_kind: str = ""

    @property
    def word(self) -> int:
        """Return the bytes of an address."""
        return 4 if self.cpu in {"x86", "arm"} else 8

    @property
    def name(self) -> str:
        """The platform's name in the ids of tests."""
        return f"{self.os}-{self.context_kind or self.cpu}"


_WINDOWS = ((10, 0, 19045), "", 0xC0000005, 0, "EXCEPTION_ACCESS_VIOLATION_READ")
_WINDOWS_PATHS = ("C:\\Program Files\\MyApp\\MyApp.exe", "C:\\Windows\\System32\\kernel32.dll")
_LINUX = ((0, 0, 0), "Linux 6.1.0-18-amd64 #1 SMP x86_64", 11, 1, "SIGSEGV / SEGV_MAPERR")
_LINUX_PATHS = ("/opt/MyApp/MyApp", "/lib/x86_64-linux-gnu/libc.so.6")
_MAC = ((14, 5, 0), "23F79", 1, 1, "EXC_BAD_ACCESS / KERN_INVALID_ADDRESS")
_MAC_PATHS = ("/Applications/MyApp.app/Contents/MacOS/MyApp", "/usr/lib/libSystem.B.dylib")
_ANDROID = ((0, 0, 0), "Linux 5.10.0 #1 SMP PREEMPT aarch64", 11, 1, "SIGSEGV / SEGV_MAPERR")
_ANDROID_PATHS = ("/data/app/com.example.myapp/lib/MyApp", "/apex/com.android.runtime/lib64/bionic/libc.so")

PLATFORMS = (
    Platform("Windows", "x86", *_WINDOWS, _WINDOWS_PATHS, (0, 0x10)),
    Platform("Windows", "amd64", *_WINDOWS, _WINDOWS_PATHS, (0, 0x10)),
    Platform("Windows", "arm64", *_WINDOWS, _WINDOWS_PATHS, (0, 0x10)),
    Platform("Windows", "arm", *_WINDOWS, _WINDOWS_PATHS, (0, 0x10), context_kind="arm-windows"),
    Platform("Linux", "x86", *_LINUX, _LINUX_PATHS),
    Platform("Linux", "amd64", *_LINUX, _LINUX_PATHS),
    Platform("Linux", "arm", *_LINUX, _LINUX_PATHS),
    Platform("Linux", "arm64", *_LINUX, _LINUX_PATHS),
    Platform("Android", "arm64", *_ANDROID, _ANDROID_PATHS, context_kind="arm64-old"),
    Platform("Android", "arm", *_ANDROID, _ANDROID_PATHS),
    Platform("macOS", "amd64", *_MAC, _MAC_PATHS, (1, 1, 0x10)),
    Platform("macOS", "arm64", *_MAC, _MAC_PATHS, (1, 1, 0x10)),
    Platform("iOS", "arm64", *_MAC, _MAC_PATHS, (1, 1, 0x10)),
)
LINUX = next(platform for platform in PLATFORMS if platform.name == "Linux-amd64")
WINDOWS = next(platform for platform in PLATFORMS if platform.name == "Windows-x86")
MAC = next(platform for platform in PLATFORMS if platform.name == "macOS-arm64")

# These addresses exist on 32-bit processors, too.
APP, LIBRARY = 0x0040_0000, 0x5000_0000
APP_SIZE, LIBRARY_SIZE = 0x10_0000, 0x20_0000
STACK = 0x6000_0000
CRASH_OFFSET = 0x1234
CALLS = (("MyApp", 0x8000), ("MyApp", 0x9000), ("library", 0x4000))
"""The return addresses, innermost first, each as a module and an offset in it."""


def stack_and_registers(platform: Platform) -> tuple[bytes, dict[str, int]]:
    """Return a stack with a chain of frame pointers along ``CALLS``, and the registers of its innermost function.

    Each frame has four words of its own below the saved frame pointer and the return address. The outermost frame
    pointer is 0.
    """
    word, frame_words = platform.word, 6
    form = "<I" if word == 4 else "<Q"
    size = word * frame_words
    words: list[int] = []
    for index, (module, offset) in enumerate(CALLS):
        is_last = index == len(CALLS) - 1
        saved = 0 if is_last else STACK + size * (index + 1) + 4 * word
        base = APP if module == "MyApp" else LIBRARY
        words += [0xA1, 0xB2, 0xC3, 0xD4, saved, base + offset]
    words += [0] * 64
    registers = {"ip": APP + CRASH_OFFSET, "sp": STACK, "fp": STACK + 4 * word}
    names = {
        "x86": ("eip", "esp", "ebp"),
        "amd64": ("rip", "rsp", "rbp"),
        "arm": ("pc", "sp", "r7" if platform.os in {"macOS", "iOS"} else "r11"),
        "arm64": ("pc", "sp", "x29"),
    }[platform.cpu]
    stack = b"".join(pack(form, value) for value in words)
    return stack, dict(zip(names, registers.values(), strict=True))


def modules(platform: Platform) -> list[ModuleSpec]:
    """Return the program and a library."""
    records = []
    for path in platform.paths:
        if platform.os in {"Linux", "Android"}:
            records.append(elf_build_id(BUILD_ID))
        else:
            file = path if platform.os in {"macOS", "iOS"} else path.replace(".exe", ".pdb").replace(".dll", ".pdb")
            records.append(pdb_70(GUID, 1 if platform.os == "Windows" else 0, file))
    version = (0x0001_0002, 0x0003_0004, 0, 0) if platform.os == "Windows" else (0, 0, 0, 0)
    return [
        ModuleSpec(APP, APP_SIZE, platform.paths[0], records[0], version=version),
        ModuleSpec(LIBRARY, LIBRARY_SIZE, platform.paths[1], records[1]),
    ]


def crash_builder(platform: Platform = LINUX) -> DumpBuilder:
    """Return a builder with all that the dump of a crash has. Tests add further streams."""
    builder = DumpBuilder()
    stack, registers = stack_and_registers(platform)
    registers_of_crash = context(platform.context_kind or platform.cpu, registers)
    is_old = platform.context_kind == "arm64-old"
    builder.system(platform.os, "arm64-old" if is_old else platform.cpu, platform.version, platform.version_name)
    address = 0x10 if platform.os != "Windows" else APP + CRASH_OFFSET
    builder.exception(MAIN, platform.code, platform.flags, address, platform.parameters, context=registers_of_crash)
    builder.threads(
        [
            ThreadSpec(MAIN, registers_of_crash, STACK, stack, "MainThread"),
            ThreadSpec(WORKER, registers_of_crash, STACK + 0x10000, stack, "Worker #1"),
        ]
    )
    builder.modules(modules(platform))
    builder.memory([(STACK, stack)])
    builder.misc(MAIN, started=TIME - 90)
    return builder


def crash(platform: Platform = LINUX) -> bytes:
    """Return the dump of a crash."""
    return crash_builder(platform).build()


def padded_crash(platform: Platform, size: int, *, noise: int | None = None, seed: int = 1) -> bytes:
    """Return the dump of a crash with ``size`` bytes, since real dumps are larger.

    A stream of filler makes up for the rest.

    ``noise`` of its bytes, or half of them, cannot be compressed.
    """
    builder = crash_builder(platform)
    if platform.os in {"macOS", "iOS"}:
        said = builder.module_annotations(lines=["abort() called", "dyld2 mode"])
        builder.crashpad({"hello": "world"}, [(1, said)])
    room = size - len(builder.build()) - 8
    random_bytes = room // 2 if noise is None else noise
    filler = random.Random(seed).randbytes(random_bytes) + bytes(room - random_bytes)
    builder.stream(FILLER_STREAM, filler)
    content = builder.build()
    return content + bytes(size - len(content))


def interrupted_builder() -> DumpBuilder:
    """Return the builder of a dump whose stack has the handler of a signal, and the code that it interrupted."""
    registers = context("amd64", {"rip": APP + 0x100, "rsp": STACK})
    builder = DumpBuilder()
    builder.system("Linux", "amd64", (0, 0, 0), "Linux 6.1.0 #1 SMP x86_64")
    builder.exception(1, 6, context=registers)
    builder.memory([(STACK, pack("<Q", LIBRARY + 0x700) + amd64_frame(ip=APP + 0x2000, sp=STACK + 0x1000))])
    builder.modules(modules(LINUX))
    return builder
