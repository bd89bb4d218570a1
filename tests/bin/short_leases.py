# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``bin/pull_ids.py`` with leases of a second, so that it has to renew them in a test that takes a few seconds."""

import sys

from bin import _subscription, pull_ids

if __name__ == "__main__":
    _subscription.LEASE = 1
    sys.exit(pull_ids.main())
