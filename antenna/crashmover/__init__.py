# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps the promise that a crash id makes: the crash is saved and its id published, or both wait in the spool.

The resource calls ``CrashMover.move`` with each crash that is to be kept. It saves the crash and publishes its id, each
through a ``Destination``: the backend is tried first, by ``Attempts`` within a deadline, and the spool takes what the
backend does not. So the client gets its id in an outage, too. A ``CircuitBreaker`` for each backend says whether
crashes try it at all. ``BackgroundDelivery`` works through the spool with a ``DeliveryLoop`` for crashes and one for
ids; each hands entries to ``Delivery`` and asks ``Verdicts`` about those that fail.

tests/crashmover tests the parts, tests/faults the promise as a whole: with backends that hang and disks that fail.
"""

from antenna.crashmover.delivery import Delivery
from antenna.crashmover.mover import CrashMover

__all__ = ["CrashMover", "Delivery"]
