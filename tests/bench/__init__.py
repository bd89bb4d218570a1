# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A benchmark of the collector as operators run it: what a crash costs, how many fit into a second, how long they wait.

``python -m tests.bench --help``. Needs Linux: CPU and memory come from /proc.
"""
