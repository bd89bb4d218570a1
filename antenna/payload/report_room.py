# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory and the room on disk that the buffers of one report may take."""

from pathlib import Path

from antenna.payload.memory import Share
from antenna.payload.temporary_space import TemporaryShare
from antenna.refusal import LossCause, Lost


class ReportRoom:
    """The share of one arriving report in its worker's memory and temporary files.

    It is the ``Room`` of all its buffers.
    """

    __slots__ = ("_disk", "_memory", "directory")

    def __init__(self, memory: Share, disk: TemporaryShare, directory: Path) -> None:
        """Temporary files are made in ``directory``. ``memory`` and ``disk`` bound what the report may take."""
        self._memory = memory
        self._disk = disk
        self.directory = directory

    def reserve_memory(self, size: int) -> bool:
        """Reserve ``size`` bytes of memory if that many are left. Returns whether it did."""
        return self._memory.reserve(size)

    def release_memory(self, size: int) -> None:
        """Release ``size`` bytes of memory."""
        self._memory.release(size)

    def reserve_disk(self, size: int) -> None:
        """Reserve ``size`` bytes on disk. Other reports may be refused to make room for it.

        Raises ``Refusal``: ``Lost`` if there is no room, ``TOO_LARGE`` if this report itself has to make room.
        """
        if not self._disk.reserve(size):
            raise Lost(LossCause.TEMP, "no room for temporary files")

    def release_disk(self, size: int) -> None:
        """Release ``size`` bytes on disk."""
        self._disk.release(size)
