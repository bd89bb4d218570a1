# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes the built dumps that are files: ``python -m tests.support.minidumps``."""

from tests.support.minidumps.files import FILES

for path, build in FILES.items():
    path.write_bytes(build())
