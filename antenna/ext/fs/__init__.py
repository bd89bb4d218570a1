# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends that write to directories: ``crashstorage`` saves crashes, ``crashpublish`` keeps a queue of ids.

``directory`` writes the files of both in native threads. A file appears complete or not at all. If a file system hangs,
only these threads hang with it, and the caller gets ``NoAnswer`` at its deadline. Tests are in
``tests/ext/test_fs.py``.
"""
