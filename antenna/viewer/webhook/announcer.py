# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes the messages about crashes that are added to the index."""

import json
import sqlite3
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from antenna.viewer.index.versions import is_at_least
from antenna.viewer.rows import CrashRow

NEW, BACK = "new_signature", "signature_came_back"

# These tables are kept when the rest of the index is made anew, so that no message is sent a second time.
_TABLES = """
BEGIN IMMEDIATE;
-- When the webhook was first used. Signatures that were seen before are not new.
CREATE TABLE IF NOT EXISTS webhook (since REAL NOT NULL);
-- Signatures that have had their message, or are older than the webhook. fixed_in is the version with the fix, if there
-- was a message that the signature came back in spite of it.
CREATE TABLE IF NOT EXISTS announced (signature TEXT PRIMARY KEY, fixed_in TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    signature TEXT NOT NULL,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0
);
COMMIT;
"""


class Announcer:
    """Writes a message for each signature that is new, and for each that came back."""

    def __init__(self, database: sqlite3.Connection, url: str) -> None:
        """``database`` is that of the index. ``url`` is the viewer's URL for people, or "" if it is not known."""
        self._url = url.rstrip("/")
        database.executescript(_TABLES)
        database.execute("INSERT INTO webhook SELECT ? WHERE NOT EXISTS (SELECT 1 FROM webhook)", (time.time(),))
        (self._since,) = database.execute("SELECT since FROM webhook").fetchone()

    def note(self, database: sqlite3.Connection, rows: Sequence[CrashRow]) -> None:
        """Write the messages about ``rows``, which are new in the index, in the transaction of ``database``."""
        by_signature: dict[str, list[CrashRow]] = {}
        for row in rows:
            by_signature.setdefault(row.signature, []).append(row)
        for signature, those in by_signature.items():
            found = database.execute(
                "SELECT announced.fixed_in AS told, opinions.fixed_in AS fixed_in, first_seen FROM signatures "
                "LEFT JOIN announced ON announced.signature = text LEFT JOIN opinions ON opinions.signature = text "
                "WHERE text = ?",
                (signature,),
            ).fetchone()
            if found["told"] is None:
                database.execute("INSERT INTO announced VALUES (?, '')", (signature,))
                if found["first_seen"] >= self._since:
                    self._tell(database, NEW, min(those, key=lambda row: row.submitted))
            self._note_back(database, those, found["fixed_in"] or "", found["told"] or "")

    def _note_back(self, database: sqlite3.Connection, rows: list[CrashRow], fixed_in: str, told: str) -> None:
        back = [row for row in rows if fixed_in and is_at_least(row.version, fixed_in)]
        if back and told != fixed_in:
            database.execute("UPDATE announced SET fixed_in = ? WHERE signature = ?", (fixed_in, back[0].signature))
            self._tell(database, BACK, back[0], fixed_in=fixed_in)

    def _tell(self, database: sqlite3.Connection, event: str, row: CrashRow, **more: str) -> None:
        body = message(event, row, self._url) | more
        database.execute(
            "INSERT INTO messages (id, event, signature, body, created) VALUES (?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), event, row.signature, json.dumps(body), time.time()),
        )


def message(event: str, row: CrashRow, url: str) -> dict[str, Any]:
    """Return the content of a message. It has nothing about a person: all of it is on pages that the team sees."""
    program = " ".join(filter(None, (row.product or "an unknown product", row.version)))
    where = f"{program} on {row.os}" if row.os else program
    what = "New signature" if event == NEW else "A signature came back after it was fixed"
    found = {
        "event": event,
        # Slack and Mattermost show this.
        "text": f"{what}: `{_plain(row.signature)}` in `{_plain(where)}`",
        "signature": row.signature,
        "product": row.product,
        "version": row.version,
        "channel": row.channel,
        "os": row.os,
        "seen": datetime.fromtimestamp(row.submitted, UTC).isoformat(timespec="seconds"),
        "crash_id": row.crash_id,
    }
    if url:
        found["url"] = f"{url}/signature/?signature={quote(row.signature, safe='')}"
        found["text"] += f" {found['url']}"
    return found


def _plain(text: str) -> str:
    """Return text that cannot end its backquotes, and is no command of Slack's, such as ``<!channel>``."""
    for char, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'"), ("\n", " "), ("\r", " ")):
        text = text.replace(char, instead)
    return text
