# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Changes a program as its environment says. Python imports this at its start if it is on PYTHONPATH.

See ``tests.support.refusals`` for calls that are refused, and ``tests.support.intervals`` for shorter intervals.
"""

import os

if "REFUSED" in os.environ:
    from tests.support.refusals import refuse_for_good

    refuse_for_good(os.environ)
if "INTERVALS" in os.environ:
    from tests.support.intervals import shorten

    shorten(os.environ)
