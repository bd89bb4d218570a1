# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A small viewer. It shows in a browser which crashes came in, grouped by signature.

The viewer is a program of its own, and the collector does not know it. A crash takes this way: ``consumer`` finds it in
the storage, in a Pub/Sub subscription or in the directory queue. ``crash_reader`` loads it and sends it to a ``child``
process with limits, which reads the dump, walks its stacks and makes its signature (``processed``). The resulting row
goes into the ``index``, an SQLite database. The index is a cache: it can be deleted, and is then made again from the
storage.

``app`` builds all of this, and ``resources`` has the pages. They read the index, and the storage only for downloads.
``supersearch`` searches the index by fields. ``access`` decides how much of a crash the sender of a request may see.
``webhook`` tells a team of new signatures. Two things are promised: no dump can harm more than its own page, and nobody
sees private data without the token for it. Tests are in tests/viewer.
"""
