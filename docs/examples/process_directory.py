# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prints the crashes that wait in a directory queue.

Usage: process_directory.py QUEUE CRASHES
"""

import json
import sys
from pathlib import Path


def process(crashes: Path, crash_id: str) -> None:
    """Print everything that is stored of one crash."""
    v1 = crashes / "v1"
    raw_crash = json.loads((v1 / "raw_crash" / f"20{crash_id[-6:]}" / crash_id).read_bytes())
    print(crash_id, raw_crash.get("ProductName"), raw_crash["metadata"]["throttle_rule"])
    for name in json.loads((v1 / "dump_names" / crash_id).read_bytes()):
        key = "dump" if name == "upload_file_minidump" else name
        print(f"  {name}: {(v1 / key / crash_id).stat().st_size} bytes")


def main(queue: Path, crashes: Path) -> None:
    """Process the crashes in the queue, the oldest first."""
    # If a name begins with a dot, the file is still being written.
    for entry in sorted(queue.glob("[!.]*")):
        process(crashes, entry.read_text())
        # The file is removed last. If the program is interrupted, the next run processes the crash.
        entry.unlink()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
