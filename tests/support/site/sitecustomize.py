# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Refuses calls of the file system.

Python imports this at its start if it is on PYTHONPATH: see ``tests.support.refusals``.
"""

import os

from tests.support.refusals import refuse_for_good

refuse_for_good(os.environ)
