# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A storage and a rule that put everything that they get into their errors, as careless code does."""

import json
from typing import Any

from antenna.backend import BackendError, CrashRefused, Deadline
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.throttler import ACCEPT, Rule

ERRORS: dict[str, type[Exception]] = {
    "backend": BackendError,
    "refused": CrashRefused,
    "value": ValueError,
    "key": KeyError,
    "os": OSError,
}


class LeakyStorage(FSCrashStorage):
    """If the annotation Fate says so, fails with an error that contains all that the storage knows of the crash."""

    def save_crash(self, crash: Any, deadline: Deadline) -> None:
        """Save the crash, or fail."""
        raw_crash = json.loads(crash.encoded_raw_crash())
        error = ERRORS.get(str(raw_crash.get("Fate")))
        if error is not None:
            content = b"".join(piece for dump in crash.dumps.values() for piece in dump.pieces())
            raise error(f"cannot save {raw_crash} {content!r}")
        super().save_crash(crash, deadline)


def leak(_throttler: object, crash: dict[str, Any]) -> bool:
    """Fail with an error that contains all that a rule sees."""
    if crash.get("Fate") == "rule":
        raise RuntimeError(f"cannot judge {dict(crash)}")
    return False


RULES = [Rule("leaky", "*", leak, ACCEPT), Rule("everything", "*", lambda _throttler, _crash: True, ACCEPT)]
