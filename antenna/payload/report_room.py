# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory and the disk that the buffers of one report may take."""

from pathlib import Path

from antenna.payload.memory import Share
from antenna.payload.temporary_space import TemporaryShare
from antenna.refusal import LossCause, Lost


class ReportRoom:
    """What a report that arrives has of its worker's memory and temporary files: a ``Room`` for all its buffers."""

    __slots__ = ("_disk", "_memory", "directory")

    def __init__(self, memory: Share, disk: TemporaryShare, directory: Path) -> None:
        """``directory`` is where temporary files go; ``disk`` bounds them."""
        self._memory = memory
        self._disk = disk
        self.directory = directory

    def reserve_memory(self, size: int) -> bool:
        """Reserve ``size`` bytes of memory if there is room for them; say whether there is."""
        return self._memory.reserve(size)

    def release_memory(self, size: int) -> None:
        """Release what was reserved."""
        self._memory.release(size)

    def reserve_disk(self, size: int) -> None:
        """Reserve ``size`` bytes of disk; other reports may have to leave for it.

        Raises ``Refusal``: ``Lost`` if there is no room, ``TOO_LARGE`` if it is this report that has to leave.
        """
        if not self._disk.reserve(size):
            raise Lost(LossCause.TEMP, "no room for temporary files")

    def release_disk(self, size: int) -> None:
        """Release what was reserved."""
        self._disk.release(size)
