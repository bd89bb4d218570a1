# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the files of /proc and /etc that crash reporters on Linux copy into the dump."""

from dataclasses import dataclass

from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location, StreamType

# Bytes of one of these files that are read at most. /proc/self/maps of a browser has 100 kB, that of some games
# megabytes.
_LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinuxFiles:
    """The texts of these files. A text is empty if the dump does not have it."""

    cpu_info: str = ""
    """/proc/cpuinfo"""
    process_status: str = ""
    """/proc/PID/status"""
    lsb_release: str = ""
    """/etc/lsb-release"""
    limits: str = ""
    """/proc/PID/limits, which Mozilla's reporter adds"""

    @property
    def process_id(self) -> int | None:
        """The process id in /proc/PID/status, or None."""
        for line in self.process_status.splitlines():
            name, _, value = line.partition(":")
            if name == "Tgid" and value.strip().isdecimal():
                return int(value[:20])
        return None


@dataclass(frozen=True, slots=True)
class ProtectedData:
    """Data that users of the program may not want others to see: file names, tokens. Show it only on request."""

    command_line: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """Each item is ``NAME=value``."""


def read_linux_files(reader: Reader, streams: dict[int, Location]) -> LinuxFiles:
    """Read the texts that are not secret."""
    return LinuxFiles(
        cpu_info=_text(reader, streams, StreamType.LINUX_CPU_INFO),
        process_status=_text(reader, streams, StreamType.LINUX_PROC_STATUS),
        lsb_release=_text(reader, streams, StreamType.LINUX_LSB_RELEASE),
        limits=_text(reader, streams, StreamType.MOZ_LINUX_LIMITS),
    )


def read_protected_data(reader: Reader, streams: dict[int, Location]) -> ProtectedData:
    """Read the command line and the environment."""
    return ProtectedData(
        command_line=_strings(reader, streams, StreamType.LINUX_CMD_LINE),
        environment=_strings(reader, streams, StreamType.LINUX_ENVIRON),
    )


def read_maps(reader: Reader, streams: dict[int, Location]) -> str:
    """Return the text of /proc/PID/maps of the process that crashed. It is empty if the dump does not have it."""
    return _text(reader, streams, StreamType.LINUX_MAPS)


def _text(reader: Reader, streams: dict[int, Location], stream: StreamType) -> str:
    return _content(reader, streams, stream).decode("utf-8", "replace").rstrip("\0")


def _strings(reader: Reader, streams: dict[int, Location], stream: StreamType) -> tuple[str, ...]:
    content = _content(reader, streams, stream).rstrip(b"\0")
    return tuple(item.decode("utf-8", "replace") for item in content.split(b"\0")) if content else ()


def _content(reader: Reader, streams: dict[int, Location], stream: StreamType) -> bytes:
    location = streams.get(stream)
    if location is None:
        return b""
    if location.size > _LARGEST:
        reader.note(f"stream {stream.title} is {location.size:,} bytes long; the first {_LARGEST:,} are read")
    try:
        return reader.read(location.offset, min(location.size, _LARGEST), f"stream {stream.title}")
    except MinidumpError as error:
        reader.note(str(error))
        return b""
