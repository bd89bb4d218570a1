# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tells a team of new signatures, and of those that came back after they were fixed, with a POST of JSON.

``Announcer`` writes a message into the index in the transaction that adds the crash. So if the viewer ends at any
moment, there is exactly one message for each event. ``Messenger`` sends the messages that wait, again and again until
the receiver takes them. It runs in a greenlet of its own, so a receiver that hangs holds up nothing else.
"""

from antenna.viewer.webhook.announcer import Announcer
from antenna.viewer.webhook.messenger import Messenger

__all__ = ["Announcer", "Messenger"]
