# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Rules files: what decides about crashes, without Python.

``reader`` takes the file apart, ``rule_table`` and ``condition_table`` make rules of its tables, ``conditions`` and
``operators`` are what runs for each crash. ``comparisons`` reads versions, dates and numbers, ``regexes`` matches
regular expressions in bounded time, ``lines`` finds the line of an error.
"""

from antenna.throttler.rules_file.problems import RulesFileError
from antenna.throttler.rules_file.reader import read_rules_file

__all__ = ["RulesFileError", "read_rules_file"]
