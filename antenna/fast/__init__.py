# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Libraries that do what the standard library does, in half the time or less.

``inflate`` inflates gzip with isal, ``texts`` decodes JSON with jiter. Both have no wheels for some platforms. The
standard library takes their place there, and the results are the same: without them the collector is slower, and that
is all. Nothing here knows anything of the collector. ``tests/fast`` compares the results.
"""
