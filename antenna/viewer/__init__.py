# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A small viewer: which crashes came in, grouped by signature, on pages in a browser.

It is a program of its own, beside the collector, which does not know it. A ``Consumer`` finds crashes in the storage,
a topic or the directory queue, and hands each of them to ``CrashReader``. That has a child process with limits read
the dump, walk its stacks and sign it. What comes of it goes into an SQLite ``Index``. The index is a cache: it can be
thrown away and made again from the storage. ``resources`` are the pages; they read nothing but the index, and the
storage for downloads. ``access`` decides who sees what.
"""
