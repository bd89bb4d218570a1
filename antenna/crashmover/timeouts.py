# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How long saving and publishing may take in all. The defaults depend on whether there is a spool to fall back on."""

from typing import Any

from antenna.config import ConfigManager, Option, bounded, parse_duration

_DURATION = bounded(parse_duration, "10ms")


class Timeouts:
    """With a spool: a client need not wait long, since the spool takes what the backend does not."""

    class Config:
        """Options."""

        save_timeout = Option(
            default="5s",
            parser=_DURATION,
            doc="Time that saving a crash may take in all, attempts and pauses included. Then it goes to the spool. "
            "Without a spool the client gets a 503 then, and the default is 30s.",
        )
        publish_timeout = Option(
            default="2s",
            parser=_DURATION,
            doc="Time that publishing an id may take in all. Then the spool keeps it; no client waits that long. "
            "Without a spool the id stays unpublished then, and the default is 10s.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        self.config = config.with_options(self)
        self.save: float = self.config("save_timeout")
        self.publish: float = self.config("publish_timeout")


def _with_default(option: Any, default: str) -> Option:
    return Option(default=default, parser=option.parser, doc=option.doc)


class TimeoutsWithoutSpool(Timeouts):
    """Without a spool: waiting is all that can be done for a crash."""

    class Config:
        """The same options, with other defaults."""

        save_timeout = _with_default(Timeouts.Config.save_timeout, "30s")
        publish_timeout = _with_default(Timeouts.Config.publish_timeout, "10s")
