# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends a crash or an id to its backend, or else to the spool. This module alone decides which of the two."""

from collections.abc import Callable
from enum import Enum

from antenna.crashmover.attempts import AttemptOutcome
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.refusal import LossCause, Lost


class Sent(Enum):
    """The place where the crash or the id is now."""

    #: The backend has it.
    SENT = "sent"
    #: The spool has it. The delivery gives it to the backend later.
    SPOOLED = "spooled"


class Destination:
    """A backend and the spool behind it. ``send`` returns when one of the two has the crash or the id.

    1. The backend is tried. If that works, the result is SENT.
    2. If the backend fails, or its breaker forbids the attempt, or it takes longer than the client is to wait, then the
       crash is written to the spool. The result is SPOOLED.
    3. If the spool does not take the crash, only the backend is left. An attempt of step 1 that still goes on is waited
       for. If there was no attempt, there is one now, since the breaker lets crashes try the backend while the spool
       takes nothing.
    4. If that fails as well, ``Lost`` is raised with the cause that the spool gave, and the client is promised nothing.

    Without a spool there is step 1 only. If it fails, ``Lost`` is raised with the cause ``NO_SPOOL``.
    """

    def __init__(self, writer: SpoolWriter | None) -> None:
        """``writer`` writes to the spool. It is None where there is no spool."""
        self._writer = writer

    def send(self, action: Callable[[], AttemptOutcome | None], else_spool: Callable[[SpoolWriter], object]) -> Sent:
        """Try the backend with ``action``. If that does not work, write to the spool with ``else_spool``.

        Raises ``Lost``. ``action`` may return None while its attempt still goes on. If it is called a second time, it
        waits for the outcome.
        """
        outcome = action()
        if outcome is AttemptOutcome.DONE:
            return Sent.SENT
        if self._writer is None:
            raise Lost(LossCause.NO_SPOOL)
        try:
            else_spool(self._writer)
        except Lost:
            if outcome is AttemptOutcome.FAILED or action() is not AttemptOutcome.DONE:
                raise
            return Sent.SENT
        return Sent.SPOOLED
