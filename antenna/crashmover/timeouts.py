# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The time that saving and publishing may take. The defaults depend on whether there is a spool."""

from typing import Any

from antenna.config import ConfigManager, Option, bounded, parse_duration

_DURATION = bounded(parse_duration, "10ms")


class Timeouts:
    """The time-outs with a spool, in seconds. They are short, since the spool takes what the backend does not."""

    class Config:
        """Options."""

        save_timeout = Option(
            default="5s",
            parser=_DURATION,
            doc="Time that saving a crash may take, all attempts and pauses included. If it takes longer, the crash is "
            "written to the spool. Without a spool the default is 30s, and the client is then answered with 503.",
        )
        publish_timeout = Option(
            default="2s",
            parser=_DURATION,
            doc="Time that publishing an id may take, all attempts and pauses included. If it takes longer, the id is "
            "written to the spool. Without a spool the default is 10s, and the id then stays unpublished. No client "
            "waits for it.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        self.config = config.with_options(self)
        self.save: float = self.config("save_timeout")
        self.publish: float = self.config("publish_timeout")


def _with_default(option: Any, default: str) -> Option:
    return Option(default=default, parser=option.parser, doc=option.doc)


class TimeoutsWithoutSpool(Timeouts):
    """The time-outs without a spool. They are longer, because a crash can then only wait for the backend."""

    class Config:
        """The same options, with other defaults."""

        save_timeout = _with_default(Timeouts.Config.save_timeout, "30s")
        publish_timeout = _with_default(Timeouts.Config.publish_timeout, "10s")
