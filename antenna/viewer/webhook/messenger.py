# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends the messages of the webhook that wait."""

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import requests
from gevent.event import Event

from antenna.viewer.webhook.announcer import NEW

logger = logging.getLogger(__name__)

# Seconds between two searches for messages, and between two messages, because receivers limit how many they take.
_INTERVAL, _PAUSE = 2.0, 1.0
# Seconds that a receiver has to take the connection, to send the next piece of its answer, and in all.
_CONNECT, _READ, _TOTAL = 5.0, 10.0, 20.0
# Seconds until a message is sent again. They double with each attempt, from the first to the longest.
_FIRST_DELAY, _LONGEST_DELAY = 5.0, 3600.0
# Seconds after which a message that no attempt could deliver is dropped.
_GIVE_UP = 3 * 86400.0
# Most messages that are sent before the next search for messages.
_ROUND = 20
# The delay is not doubled more often than this, because a message may have any number of attempts.
_MOST_DOUBLINGS = 20


@dataclass(slots=True)
class SendOutcome:
    """The outcome of sending a message."""

    problem: str = ""
    """Why the receiver has not taken it. It is empty if it has."""
    delay: float = 0.0
    """Seconds that the receiver asks to wait."""
    is_away: bool = False
    """Whether other messages would fail in the same way."""


class Messenger:
    """Sends messages to one URL."""

    def __init__(self, database: sqlite3.Connection, url: str, is_ready: Callable[[], bool]) -> None:
        """``is_ready`` says whether all crashes have been read once. Until then no signature is known to be new."""
        self._database = database
        self._url = url
        self._is_ready = is_ready
        #: Why the receiver has not taken the last message. It is empty if it has.
        self.trouble = ""
        self._is_stopped = Event()
        self._session = requests.Session()

    @property
    def waiting(self) -> int:
        """The number of messages that wait."""
        (count,) = self._database.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)

    def run(self) -> None:
        """Send messages until ``stop`` is called."""
        while not self._is_stopped.wait(_INTERVAL):
            try:
                self.deliver()
            except Exception as error:  # noqa: BLE001 - it is logged, and the next round tries again
                self.trouble = type(error).__name__
                # The text of the error could have the URL, which is a secret.
                logger.error("the webhook failed: %s", self.trouble)  # noqa: TRY400 - see above

    def stop(self) -> None:
        """Let ``run`` end after the current message. If it ended at once, the message might be sent a second time."""
        self._is_stopped.set()

    def deliver(self) -> int:
        """Send the messages whose time has come. Returns how many the receiver has taken."""
        taken = 0
        if not self._is_ready():
            return taken
        self._drop_old_news()
        due = self._database.execute(
            "SELECT id, body, created, attempts FROM messages WHERE next_try <= ? ORDER BY created, id LIMIT ?",
            (time.time(), _ROUND),
        ).fetchall()
        for number, found in enumerate(due):
            if number and self._is_stopped.wait(_PAUSE):
                break
            outcome = self._send(found["id"], found["body"])
            self.trouble = outcome.problem
            if not outcome.problem:
                self._database.execute("DELETE FROM messages WHERE id = ?", (found["id"],))
                taken += 1
            else:
                self._put_off(found, outcome)
            if outcome.is_away:
                break
        return taken

    def _drop_old_news(self) -> None:
        """Drop messages about signatures that are not new, because an older crash has come since."""
        self._database.execute(
            "DELETE FROM messages WHERE event = ? AND signature IN "
            "(SELECT text FROM signatures WHERE first_seen < (SELECT since FROM webhook))",
            (NEW,),
        )

    def _put_off(self, found: sqlite3.Row, outcome: SendOutcome) -> None:
        now = time.time()
        if now - found["created"] > _GIVE_UP:
            logger.error("the webhook has not taken a message for days: it is dropped (%s)", outcome.problem)
            self._database.execute("DELETE FROM messages WHERE id = ?", (found["id"],))
            return
        delay = _FIRST_DELAY * 2 ** min(found["attempts"], _MOST_DOUBLINGS)
        delay = min(max(delay, outcome.delay), _LONGEST_DELAY)
        logger.warning("the webhook has not taken a message (%s): again in %.0f s", outcome.problem, delay)
        self._database.execute(
            "UPDATE messages SET attempts = attempts + 1, next_try = ? WHERE id = ?", (now + delay, found["id"])
        )

    def _send(self, number: str, body: str) -> SendOutcome:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Antenna viewer",
            # If the message is sent again, the key is the same, so a receiver can tell.
            "Idempotency-Key": number,
        }
        try:
            with gevent.Timeout(_TOTAL, TimeoutError()):
                answer = self._session.post(
                    self._url,
                    data=body.encode("ascii"),
                    headers=headers,
                    timeout=(_CONNECT, _READ),
                    allow_redirects=False,
                    # The content of the answer does not matter, so it is not read.
                    stream=True,
                )
                answer.close()
        except (requests.RequestException, OSError) as error:
            return SendOutcome(f"it cannot be reached: {type(error).__name__}", is_away=True)
        status = answer.status_code
        if 200 <= status < 300:  # noqa: PLR2004 - successful, says RFC 9110
            return SendOutcome()
        return SendOutcome(f"it answered {status}", _retry_after(answer), is_away=status >= 500 or status == 429)  # noqa: PLR2004 - RFC 9110


def _retry_after(answer: requests.Response) -> float:
    """Return the seconds that an answer asks to wait, or 0. RFC 9110 also allows a date, which hardly anybody sends."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0  # noqa: PLR2004 - digits of a number of seconds
