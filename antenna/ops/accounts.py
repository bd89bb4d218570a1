# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The accounts: how each request ended, and why a crash was lost.

Whoever ends a request counts it, once: the resource a crash report, the application what leads nowhere, the server what
is not HTTP or never came whole. ``accepted`` + ``deferred`` + ``lost`` is then the sum of the crashes that were saved,
those that were spooled and those that were lost.
"""

import markus

from antenna.refusal import LossCause, Outcome

metrics = markus.get_metrics("")

# Made once: a request would take longer to format its tag than to count it.
_OUTCOME_TAGS = {outcome: [f"outcome:{outcome.tag}"] for outcome in Outcome}
_CAUSE_TAGS = {cause: [f"cause:{cause.tag}"] for cause in LossCause}


def count_request(outcome: Outcome) -> None:
    """Count a request that has come to its end."""
    metrics.incr("requests", tags=_OUTCOME_TAGS[outcome])


def count_lost(cause: LossCause) -> None:
    """Count a crash that is lost."""
    metrics.incr("crashes_lost", tags=_CAUSE_TAGS[cause])
