# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The accounts: how each request ended, and why a crash was lost.

Whoever ends a request counts it, once: the resource a crash report, the application what leads nowhere, the server what
is not HTTP or never came whole. ``accepted`` + ``deferred`` + ``lost`` is then the sum of the crashes that were saved,
those that were spooled and those that were lost.
"""

import markus

from antenna.refusal import LossCause, Outcome, Reason

metrics = markus.get_metrics("")

#: The reasons that count as malformed: what the client sent, or how. Those of 401 and of 503 are no fault of that kind.
MALFORMED = tuple(reason for reason in Reason if reason.status not in (401, 503))

# Made once: a request would take longer to format its tag than to count it.
_OUTCOME_TAGS = {outcome: [f"outcome:{outcome.tag}"] for outcome in Outcome}
_CAUSE_TAGS = {cause: [f"cause:{cause.tag}"] for cause in LossCause}


def count_request(outcome: Outcome) -> None:
    """Count a request that has come to its end."""
    metrics.incr("requests", tags=_OUTCOME_TAGS[outcome])


def count_astray(how: str) -> None:
    """Count what looks like a crash report, and came where none is taken: by its ``path`` or by its ``method``."""
    metrics.incr("crashes_astray", tags=[f"how:{how}"])


def count_lost(cause: LossCause) -> None:
    """Count a crash that is lost."""
    metrics.incr("crashes_lost", tags=_CAUSE_TAGS[cause])
