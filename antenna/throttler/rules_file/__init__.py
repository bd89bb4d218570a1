# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads rules files: rules in TOML, for operators who write no Python.

``reader`` takes the file apart. ``rule_table`` and ``condition_table`` turn its tables into rules. ``conditions`` and
``operators`` are the code that runs for each crash. ``comparisons`` reads versions, dates and numbers, ``regexes``
matches regular expressions in bounded time, and ``lines`` finds the line of an error. A file that is wrong anywhere is
refused with ``RulesFileError``, which lists everything that is wrong. Tests are in tests/throttler/rules_file.
"""

from antenna.throttler.rules_file.problems import RulesFileError
from antenna.throttler.rules_file.reader import read_rules_file

__all__ = ["RulesFileError", "read_rules_file"]
