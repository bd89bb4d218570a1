# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the operating system and the processor of the machine that a dump comes from."""

from dataclasses import dataclass
from struct import Struct

from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location

# MINIDUMP_SYSTEM_INFO
_SYSTEM_INFO = Struct("<HHHBBIIIIIHH24s")
# The beginning of CPU_INFORMATION for x86 and amd64.
_X86_VENDOR = Struct("<III")

# PROCESSOR_ARCHITECTURE_* of winnt.h. The numbers from 0x8001 on are Breakpad's (minidump_format.h).
_CPUS = {
    0: "x86",
    1: "mips",
    2: "alpha",
    3: "ppc",
    4: "shx",
    5: "arm",
    6: "ia64",
    7: "alpha64",
    8: "msil",
    9: "amd64",
    10: "x86",  # a 32-bit program on 64-bit Windows
    12: "arm64",
    0x8001: "sparc",
    0x8002: "ppc64",
    0x8003: "arm64",  # Breakpad, before Windows had a number
    0x8004: "mips64",
    0x8005: "riscv",
    0x8006: "riscv64",
}
_32_BIT_CPUS = {"x86", "mips", "ppc", "shx", "arm", "sparc", "riscv"}
# VER_PLATFORM_* of winnt.h. The numbers from 0x8000 on are Breakpad's.
_SYSTEMS = {
    0: "Windows",
    1: "Windows",
    2: "Windows",
    3: "Windows CE",
    0x8000: "Unix",
    0x8101: "macOS",
    0x8102: "iOS",
    0x8201: "Linux",
    0x8202: "Solaris",
    0x8203: "Android",
    0x8204: "PS3",
    0x8205: "NaCl",
    0x8206: "Fuchsia",
}


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """The machine that a dump comes from."""

    os: str
    """``Windows``, ``Linux``, ``Android``, ``macOS``, ``iOS`` or another name. For an unknown system it is a number."""
    os_version: str
    """Version and build: ``10.0.19042``, ``11.6.7 20G630``, or on Linux the output of ``uname -srvmo``."""
    cpu: str
    """``x86``, ``amd64``, ``arm``, ``arm64`` or another name. For an unknown CPU it is a number."""
    cpu_info: str
    """Vendor, family, model and stepping, if the dump has them."""
    cpu_count: int

    @property
    def is_apple(self) -> bool:
        """Whether crashes are Mach exceptions."""
        return self.os in {"macOS", "iOS"}

    @property
    def is_linux(self) -> bool:
        """Whether crashes are signals of Linux."""
        return self.os in {"Linux", "Android"}

    @property
    def is_32_bit(self) -> bool:
        """Whether addresses have 32 bits."""
        return self.cpu in _32_BIT_CPUS


def describe_system(os: str, os_version: str) -> str:
    """Return system and version as people read them.

    Breakpad on Linux gives the version only in the name of the kernel, which begins with the name of the system.
    """
    version = os_version.removeprefix("0.0.0").strip().removeprefix(os).strip()
    return f"{os} {version}".strip()


def read_system_info(reader: Reader, location: Location) -> SystemInfo:
    """Read the system info stream."""
    what = "the system info"
    fields = reader.unpack(_SYSTEM_INFO, location.offset, what)
    architecture, level, revision, processors, _, major, minor, build, platform, name_offset, _, _, cpu_data = fields
    name = ""
    if name_offset:
        try:
            name = reader.utf16(name_offset, "the name of the system's version", largest=4096).strip()
        except MinidumpError as error:
            reader.note(str(error))
    cpu = _CPUS.get(architecture, f"{architecture:#06x}")
    return SystemInfo(
        os=_SYSTEMS.get(platform, f"{platform:#010x}"),
        os_version=f"{major}.{minor}.{build} {name}".strip(),
        cpu=cpu,
        cpu_info=_describe_cpu(cpu, level, revision, cpu_data),
        cpu_count=processors,
    )


def _describe_cpu(cpu: str, level: int, revision: int, cpu_data: bytes) -> str:
    if cpu not in {"x86", "amd64"}:
        return ""
    vendor = cpu_data[: _X86_VENDOR.size].decode("ascii", "replace") if cpu_data[0] else ""
    model = f"family {level} model {revision >> 8} stepping {revision & 0xFF}"
    return f"{vendor} {model}" if vendor.isprintable() else model
