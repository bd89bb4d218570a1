# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tells a team of new crashes: a POST of JSON for a signature that is first seen, or that is back after it was fixed.

``Announcer`` notes what there is to tell when the index gets crashes, in the same transaction: whatever happens to the
viewer after that, the message is there, once. ``Delivery`` sends the messages that wait, again and again until they are
taken. It is a greenlet of its own, so a receiver that hangs holds up nothing else.
"""

from antenna.viewer.webhook.announcer import Announcer
from antenna.viewer.webhook.delivery import Delivery

__all__ = ["Announcer", "Delivery"]
