# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Rules that are fetched from a URL with a secret, which the error contains if that fails."""

import os

raise RuntimeError(f"cannot fetch {os.environ['RULES_URL']}")
