# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends messages that wait."""

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

# Seconds between two looks for messages, and between two messages: a receiver may bound how many it takes.
_INTERVAL, _PAUSE = 2.0, 1.0
# Seconds that a receiver has to take the connection, to send the next piece of its answer, and altogether.
_CONNECT, _READ, _TOTAL = 5.0, 10.0, 20.0
# Seconds before a message is tried again: the first time, and at most; and how long it is tried.
_FIRST_DELAY, _LONGEST_DELAY, _GIVE_UP = 5.0, 3600.0, 3 * 86400.0
# Messages of one round.
_ROUND = 20

_GREATEST_EXPONENT = 20


@dataclass(slots=True)
class Outcome:
    """The outcome of sending a message."""

    problem: str = ""
    """Why it was not taken; empty if it was."""
    delay: float = 0.0
    """Seconds that the receiver asks to wait."""
    is_away: bool = False
    """Whether other messages would fail in the same way."""


class Delivery:
    """Sends messages to one URL."""

    def __init__(self, database: sqlite3.Connection, url: str, is_ready: Callable[[], bool]) -> None:
        """``is_ready`` says whether all crashes were read that there are. Before that, nothing is known to be new."""
        self._database = database
        self._url = url
        self._is_ready = is_ready
        #: Why the last message was not taken; empty if it was.
        self.trouble = ""
        self._is_stopped = Event()
        self._session = requests.Session()

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        (count,) = self._database.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)

    def run(self) -> None:
        """Go on until ``stop`` is called."""
        while not self._is_stopped.wait(_INTERVAL):
            try:
                self.deliver()
            except Exception as error:  # noqa: BLE001 - the log has it, and it is tried again
                self.trouble = type(error).__name__
                # Its message could hold the URL, which is a secret.
                logger.error("the webhook failed: %s", self.trouble)  # noqa: TRY400 - see above

    def stop(self) -> None:
        """Let ``run`` end once the message in hand is sent: otherwise nobody would know whether it was taken."""
        self._is_stopped.set()

    def deliver(self) -> int:
        """Send the messages whose time has come; return how many were taken."""
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
        """Drop messages on signatures that are not new after all: an older crash has come since."""
        self._database.execute(
            "DELETE FROM messages WHERE event = ? AND signature IN "
            "(SELECT text FROM signatures WHERE first_seen < (SELECT since FROM webhook))",
            (NEW,),
        )

    def _put_off(self, found: sqlite3.Row, outcome: Outcome) -> None:
        now = time.time()
        if now - found["created"] > _GIVE_UP:
            logger.error("the webhook has not taken a message for days: it is dropped (%s)", outcome.problem)
            self._database.execute("DELETE FROM messages WHERE id = ?", (found["id"],))
            return
        delay = _FIRST_DELAY * 2 ** min(found["attempts"], _GREATEST_EXPONENT)
        delay = min(max(delay, outcome.delay), _LONGEST_DELAY)
        logger.warning("the webhook has not taken a message (%s): again in %.0f s", outcome.problem, delay)
        self._database.execute(
            "UPDATE messages SET attempts = attempts + 1, next_try = ? WHERE id = ?", (now + delay, found["id"])
        )

    def _send(self, number: str, body: str) -> Outcome:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Antenna viewer",
            # The same whenever the message is sent again.
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
                    # Nobody reads what the receiver says.
                    stream=True,
                )
                answer.close()
        except (requests.RequestException, OSError) as error:
            return Outcome(f"it cannot be reached: {type(error).__name__}", is_away=True)
        status = answer.status_code
        if 200 <= status < 300:  # noqa: PLR2004 - successful, says RFC 9110
            return Outcome()
        return Outcome(f"it answered {status}", _retry_after(answer), is_away=status >= 500 or status == 429)  # noqa: PLR2004 - RFC 9110


def _retry_after(answer: requests.Response) -> float:
    """Return the seconds that an answer asks to wait. RFC 9110 has dates there, too, which hardly anybody sends."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0  # noqa: PLR2004 - digits of a number of seconds
