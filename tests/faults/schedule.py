# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Schedules of faults: which fault happens when. A schedule is made from a seed."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.faulty import (
    HALF_ANSWER,
    HALF_REQUEST,
    HANG,
    LATE_ANSWER,
    LOST_ANSWER,
    PASS,
    REFUSE,
    RESET,
    SILENCE,
    Fault,
)


def _other_checksum(answer: bytes) -> bytes:
    return re.sub(rb'("crc32c":\s*")....', rb"\1AAAA", answer)


def _fewer_messages(answer: bytes) -> bytes:
    # The answer has the same length, and is still JSON.
    return re.sub(rb'"messageIds"(\s*:)', rb'"messageIdz"\1', answer)


# The faults by the names that schedules give them. "at times" is every second time. Wrong acknowledgements have status
# 200.
BACKEND_FAULTS: dict[str, Fault] = {
    "pass": PASS,
    "refuse": REFUSE,
    "reset": RESET,
    "hang": HANG,
    "silence": SILENCE,
    "late answer": LATE_ANSWER,
    "lost answer": LOST_ANSWER,
    "half request": HALF_REQUEST,
    "half answer": HALF_ANSWER,
    "slow": Fault(delay=0.7),
    # It is not slower, because the emulator of the storage does nothing else while it reads an upload.
    "drip": Fault(rate=20_000),
    "400": Fault(status=400),
    "401": Fault(status=401),
    "403": Fault(status=403),
    "404": Fault(status=404),
    "429": Fault(status=429),
    "500": Fault(status=500),
    "503": Fault(status=503),
    "page": Fault(status=200, body=b"<html>Welcome to this network</html>"),
    "null": Fault(status=200, body=b"null"),
    "array": Fault(status=200, body=b"[1]"),
    "object": Fault(status=200, body=b'{"crc32c": 5, "messageIds": null}'),
    "wrong checksum": Fault(alter=_other_checksum),
    "nothing acknowledged": Fault(alter=_fewer_messages),
    "none acknowledged": Fault(status=200, body=b'{"messageIds": []}'),
    "number acknowledged": Fault(status=200, body=b'{"messageIds": 1}'),
    "503 at times": Fault(status=503),
    "reset at times": RESET,
}
_STORAGE_FAULTS = sorted(BACKEND_FAULTS.keys() - {"pass", "nothing acknowledged"})
_PUBLISH_FAULTS = sorted(BACKEND_FAULTS.keys() - {"pass", "wrong checksum"})

# Faults of a disk: errors at each operation or at one in five, and a disk that somebody else has filled.
DISK_FAULTS = ("EIO", "ENOSPC", "EROFS", "EIO at times", "ENOSPC at times", "full")

VICTIMS = ("worker", "workers", "master", "all")

# Load begins before the first fault, and goes on after the last.
_QUIET = 0.3
_MIN_SECONDS, _MAX_SECONDS = 2.0, 4.5


@dataclass(frozen=True, slots=True)
class Step:
    """A fault that happens ``at`` this many seconds after the load began.

    ``what`` is a backend (``storage``, ``publish``), the ``disk`` of the spool, the service that looks up ``names``,
    ``kill`` (SIGKILL), ``stop`` (SIGTERM to the master) or ``retire`` (SIGTERM to a worker). ``how`` is the fault that
    begins, or the victim. "pass" ends a fault.
    """

    at: float
    what: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.at:.2f} {self.what} {self.how}".rstrip()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A collector's options and what happens to it."""

    seed: int
    seconds: float
    steps: Sequence[Step]
    options: Mapping[str, str] = field(default_factory=dict)
    clients: int = 6

    def has(self, *what: str) -> bool:
        """Whether the schedule has one of these faults."""
        return any(step.what in what for step in self.steps)

    @property
    def may_refuse(self) -> bool:
        """Whether crashes may be answered with 503. They may be only if the spool is of no help."""
        return self.has("disk") or "CRASHMOVER_SPOOL_MAX_SIZE" in self.options

    @property
    def may_break_connections(self) -> bool:
        """Whether requests may go without an answer.

        They may if a process is killed, or if a start ends because a permission is missing or a disk is read-only,
        after clients have connected.
        """
        is_forbidden = any(step.how in ("403", "EROFS") for step in self.steps)
        return self.has("kill") or (self.has("stop") and is_forbidden)

    def __str__(self) -> str:
        return "; ".join([*map(str, self.steps), *(f"{name}={value}" for name, value in self.options.items())])


class _Maker:
    """Makes a schedule."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._seconds = self._chance.uniform(_MIN_SECONDS, _MAX_SECONDS)
        self._steps: list[Step] = []
        self._options: dict[str, str] = {}

    def make(self, troubles: Sequence[str] | None) -> Schedule:
        names = sorted(TROUBLES)
        chosen = troubles or self._chance.sample(names, self._chance.choice([1, 2, 2, 3]))
        for trouble in chosen:
            TROUBLES[trouble](self)
        steps = sorted(self._steps, key=lambda step: step.at)
        return Schedule(self._seed, self._seconds, steps, self._options, self._chance.randint(4, 8))

    def storage(self) -> None:
        self._episodes("storage", _STORAGE_FAULTS, self._chance.randint(1, 3))

    def publish(self) -> None:
        self._episodes("publish", _PUBLISH_FAULTS, self._chance.randint(1, 3))

    def outage(self) -> None:
        """Make both backends fail in the same way for most of the time."""
        fault = self._chance.choice(["refuse", "hang", "silence", "reset", "503", "403", "late answer"])
        end = self._seconds - self._chance.uniform(0, 0.5)
        for backend in ("storage", "publish"):
            self._steps += [Step(_QUIET, backend, fault), Step(end, backend, "pass")]

    def kill(self) -> None:
        for _ in range(self._chance.randint(1, 4)):
            self._steps.append(Step(self._time(), "kill", self._chance.choice(VICTIMS)))

    def stop(self) -> None:
        for _ in range(self._chance.randint(1, 2)):
            self._steps.append(Step(self._time(), self._chance.choice(["stop", "stop", "retire"])))

    def disk(self) -> None:
        """Make the disk fail while the spool is needed."""
        self._episodes("disk", DISK_FAULTS, self._chance.randint(1, 2))
        self._chance.choice([self.outage, self.storage, self.publish])()

    def small_spool(self) -> None:
        """Make the spool so small that it is soon full."""
        self._options["CRASHMOVER_SPOOL_MAX_SIZE"] = f"{self._chance.randint(100, 2000)}KiB"
        self.outage()

    def names(self) -> None:
        """Make a part of the network fail: no names are looked up, and no connection is made."""
        end = self._seconds - self._chance.uniform(0, 0.5)
        self._steps += [Step(_QUIET, "names", "silence"), Step(end, "names", "pass")]
        for backend in ("storage", "publish"):
            self._steps += [Step(_QUIET, backend, "refuse"), Step(_QUIET + 0.1, backend, "pass")]

    def other_disk(self) -> None:
        """Keep temporary files on another file system than the spool."""
        self._options["BREAKPAD_TEMP_DIR"] = "another file system"
        self.storage()

    def _time(self) -> float:
        return self._chance.uniform(_QUIET, self._seconds)

    def _episodes(self, what: str, faults: Sequence[str], number: int) -> None:
        times = sorted(self._time() for _ in range(2 * number))
        for begin, end in zip(times[::2], times[1::2], strict=True):
            self._steps += [Step(begin, what, self._chance.choice(faults)), Step(end, what, "pass")]


TROUBLES: dict[str, Callable[[_Maker], None]] = {
    "storage": _Maker.storage,
    "publish": _Maker.publish,
    "outage": _Maker.outage,
    "kill": _Maker.kill,
    "stop": _Maker.stop,
    "disk": _Maker.disk,
    "small spool": _Maker.small_spool,
    "other disk": _Maker.other_disk,
    "names": _Maker.names,
}


def make_schedule(seed: int, troubles: Sequence[str] | None = None) -> Schedule:
    """Return the schedule of a seed. If its kinds of trouble are not given, they come from the seed, too."""
    return _Maker(seed).make(troubles)
