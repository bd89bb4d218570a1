# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the signature of a crash: a short text that crashes with the same cause share, so that they can be grouped.

``sign`` makes it from the facts about a crash. For Mozilla's products it uses siggen, which has Socorro's own rules, so
people find the same signature at Crash Stats. For all other products it uses the rules in ``own``. A signature names
the rules that made it, since other rules make other signatures. If there is nothing to make it from, it begins with
``EMPTY:`` and says why. Tests are in tests/symbols.
"""

from antenna.symbols.signature import own, socorro
from antenna.symbols.signature.facts import CrashFacts, Signature

__all__ = ["CrashFacts", "Signature", "sign"]


def sign(facts: CrashFacts) -> Signature:
    """Return the signature of a crash."""
    return socorro.sign(facts) or own.sign(facts)
