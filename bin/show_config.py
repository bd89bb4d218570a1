#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Show every option of collector and viewer with this environment: its value, and whether that is the default.

Secrets are masked, as in the collector's log. The exit code is 78 if a value is bad.

Examples:
  bin/show_config.py                  # a line for each option that is set, and then those that are not
  bin/show_config.py --set            # only those that are set
  bin/show_config.py --json | jq -r 'select(.default | not) | .name'

"""

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _config  # isort: split

# From sysexits.h: the configuration is bad.
EX_CONFIG = 78


def main() -> int:
    """Print the options."""
    parser = _common.make_parser(__doc__)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line: name, value, default, problem"
    )
    parser.add_argument("--set", action="store_true", help="show only the options that the environment sets")
    args = parser.parse_args()
    found = sorted(_config.settings(_config.environment()), key=lambda setting: not setting.is_set)
    for setting in found:
        if args.set and not setting.is_set:
            continue
        if args.json:
            item = asdict(setting)
            item["default"] = not item.pop("is_set")
            _common.print_json(item)
        else:
            origin = "" if setting.is_set else "  (default)"
            print(f"{setting.name}={_common.printable(setting.value)}{origin}")
            if setting.problem:
                _common.note(f"  {setting.problem}")
    return EX_CONFIG if any(setting.problem for setting in found) else 0


if __name__ == "__main__":
    _common.run(main)
