# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the identity of a module's debug information from the CodeView record that its entry in the dump points to."""

import uuid
from dataclasses import dataclass
from struct import Struct

from antenna.minidump.source import until_nul

_PDB_70 = Struct("<16sI")
_PDB_20 = Struct("<III")
# Longest build id, in bytes. A SHA-1 has 20, but the linker's --build-id=0x... takes any number.
_LONGEST_BUILD_ID = 64


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """The identity of a module's debug information."""

    debug_id: str
    """The debug id in Breakpad's form: the GUID without dashes, then the age in hexadecimal. It may be empty."""
    debug_file: str
    """The name of the PDB file, with the path from the record. It is empty for ELF files."""
    build_id: str = ""
    """The whole build id in hexadecimal, for ELF files."""
    guid: str = ""
    """The GUID or UUID in lower case, for PDB files and Mach-O."""


NO_DEBUG_INFO = DebugInfo("", "")


def parse_code_view(record: bytes) -> DebugInfo:
    """Parse a CodeView record: PDB 7.0 (Windows, macOS), PDB 2.0, or Breakpad's record with an ELF build id."""
    kind, rest = record[:4], record[4:]
    if kind == b"RSDS" and len(rest) >= _PDB_70.size:
        return _parse_pdb_70(rest)
    if kind == b"NB10" and len(rest) >= _PDB_20.size:
        _, signature, age = _PDB_20.unpack_from(rest)
        return DebugInfo(f"{signature:08X}{age:x}", _name(rest[_PDB_20.size :]))
    if kind == b"LEpB" and len(rest) > 0:
        return _parse_build_id(rest[:_LONGEST_BUILD_ID])
    return NO_DEBUG_INFO


def _parse_pdb_70(record: bytes) -> DebugInfo:
    signature, age = _PDB_70.unpack_from(record)
    guid = uuid.UUID(bytes_le=signature)
    name = _name(record[_PDB_70.size :])
    if not guid.int:
        return DebugInfo("", name)
    return DebugInfo(f"{guid.hex.upper()}{age:X}", name, guid=guid.hex)


def _parse_build_id(build_id: bytes) -> DebugInfo:
    """Return the debug id that Breakpad makes of a build id: a GUID of its first 16 bytes, which zeros fill up."""
    if not any(build_id):
        return NO_DEBUG_INFO
    guid = uuid.UUID(bytes_le=build_id[:16].ljust(16, b"\0"))
    return DebugInfo(f"{guid.hex.upper()}0", "", build_id=build_id.hex())


def _name(content: bytes) -> str:
    return until_nul(content).decode("utf-8", "replace")
