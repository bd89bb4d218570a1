# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Starts the viewer: ``python -m antenna.viewer``."""

from antenna.hub import patch_all

patch_all()

import sys  # noqa: E402 - patched first

from antenna.viewer.program import main  # noqa: E402 - patched first

if __name__ == "__main__":
    sys.exit(main())
