# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The viewer as people start it."""

import os
import sqlite3
import sys
from pathlib import Path

import requests

from tests.support.intervals import shortened
from tests.support.programs import Program, free_port
from tests.support.server import INHERITED, PROJECT_ROOT, file_system_environment

#: A viewer that looks for crashes, and for messages to send, several times a second. A message that was not taken is
#: sent again at once. Pub/Sub sends an id again when it has not been acknowledged for four seconds.
QUICK = shortened(
    {
        "antenna.viewer.consumer.consumer._INTERVAL": 0.2,
        "antenna.viewer.consumer.pubsub._WAIT": 0.5,
        "antenna.viewer.consumer.pubsub._LEASE": 4,
        "antenna.viewer.consumer.pubsub._RENEW": 1.0,
        "antenna.viewer.webhook.messenger._INTERVAL": 0.2,
        "antenna.viewer.webhook.messenger._PAUSE": 0.0,
        "antenna.viewer.webhook.messenger._READ": 1.0,
        "antenna.viewer.webhook.messenger._TOTAL": 2.0,
        "antenna.viewer.webhook.messenger._FIRST_DELAY": 0.1,
    }
)


class ViewerProgram(Program):
    """``bin/run_viewer.sh``."""

    def __init__(self, directory: Path, **options: str) -> None:
        """Start a viewer of the crashes in ``directory``, where its index is, too. ``options`` are variables."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.index = directory / "viewer" / "index.sqlite"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        own = {"VIEWER_PORT": str(self.port), "VIEWER_DATA_DIR": str(directory / "viewer")}
        super().__init__(
            [str(PROJECT_ROOT / "bin" / "run_viewer.sh")],
            log_file=directory / "viewer.log",
            environment=inherited | {"VIRTUAL_ENV": sys.prefix} | file_system_environment(directory) | own | options,
            directory=directory,
        )

    def is_serving(self) -> bool:
        """Whether it answers."""
        try:
            return requests.get(f"{self.url}/__lbheartbeat__", timeout=5).ok
        except requests.RequestException:
            return False

    def crash_ids(self) -> list[str]:
        """Return what is in the index."""
        try:
            database = sqlite3.connect(self.index, timeout=10)
            found = [row[0] for row in database.execute("SELECT crash_id FROM crashes ORDER BY crash_id")]
            database.close()
        except sqlite3.OperationalError:  # it is not made yet
            return []
        return found
