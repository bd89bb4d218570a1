# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Where crashes go, or their ids: to a backend, or else to the spool. The policy is here, and nowhere else."""

from collections.abc import Callable
from enum import Enum

from antenna.crashmover.attempts import AttemptOutcome
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.refusal import LossCause, Lost


class Sent(Enum):
    """Who has the crash, or the id, now."""

    #: The backend.
    SENT = "sent"
    #: The spool: the delivery will give it to the backend.
    SPOOLED = "spooled"


class Destination:
    """A backend, and the spool behind it. ``send`` returns when one of them has what it was given.

    1. The backend is tried. If that works, the crash is SENT.
    2. If the backend fails, is not tried because its breaker is against it, or takes longer than the client is to wait,
       the crash is written to the spool: it is SPOOLED.
    3. If the spool does not take it, the backend has to. An attempt of step 1 that still goes on is waited for. If
       there was none, there is one now: the breaker lets crashes try a backend when the spool takes nothing.
    4. If that does not work either, ``Lost`` is raised, with the cause that the spool gave: nothing was promised to the
       client.

    Without a spool there is step 1 only, and a failure is ``Lost`` for want of a spool.
    """

    def __init__(self, writer: SpoolWriter | None) -> None:
        """``writer`` writes to the spool. It is None where there is no spool."""
        self._writer = writer

    def send(self, action: Callable[[], AttemptOutcome | None], else_spool: Callable[[SpoolWriter], object]) -> Sent:
        """Try the backend with ``action``, and write to the spool with ``else_spool`` otherwise. Raises ``Lost``.

        ``action`` may return None while its attempt still goes on. Called a second time, it waits for the end.
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
