# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts how each request ended, and why a crash was lost.

Each request is counted once, by the part that ends it. The resource counts crash reports, the application requests to
other paths, and the server requests that are not HTTP or did not arrive completely. So ``accepted`` + ``deferred`` +
``lost`` is the number of crashes that were saved, spooled or lost.
"""

import markus

from antenna.refusal import LossCause, Outcome, Reason

metrics = markus.get_metrics("")

#: The reasons that the metric ``malformed`` counts: the client has sent something wrong. Refusals with 401 and 503 are
#: not among them.
MALFORMED = tuple(reason for reason in Reason if reason.status not in (401, 503))

# The tags are made once, because formatting a tag would take longer than counting the request.
_OUTCOME_TAGS = {outcome: [f"outcome:{outcome.tag}"] for outcome in Outcome}
_CAUSE_TAGS = {cause: [f"cause:{cause.tag}"] for cause in LossCause}


def count_request(outcome: Outcome) -> None:
    """Count a request that has ended."""
    metrics.incr("requests", tags=_OUTCOME_TAGS[outcome])


def count_astray(how: str) -> None:
    """Count a request that looks like a crash report but came to a wrong ``path`` or with a wrong ``method``."""
    metrics.incr("crashes_astray", tags=[f"how:{how}"])


def count_lost(cause: LossCause) -> None:
    """Count a crash that is lost."""
    metrics.incr("crashes_lost", tags=_CAUSE_TAGS[cause])
