# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Libraries that do the same as the standard library, in half the time or less.

``inflate`` inflates gzip with isal, ``texts`` decodes JSON with jiter. Some platforms have no wheel of isal or jiter.
There the standard library is used instead. The results are the same, so only speed is lost. Nothing in this package
knows of the collector. ``tests/fast`` compares the results.
"""
