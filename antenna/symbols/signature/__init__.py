# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The signature of a crash: a short text that is the same for crashes with the same cause, to group them by.

``sign`` takes what is known of a crash. For Mozilla's products siggen makes the signature, by Socorro's own rules.
People find it at Crash Stats, too. For all others the rules of ``own`` make it. A signature names the rules that made
it, since other rules make others. If there is nothing to make it of, it begins with ``EMPTY:`` and says why.
"""

from antenna.symbols.signature import own, socorro
from antenna.symbols.signature.facts import CrashFacts, Signature

__all__ = ["CrashFacts", "Signature", "sign"]


def sign(facts: CrashFacts) -> Signature:
    """Return the signature of a crash."""
    return socorro.sign(facts) or own.sign(facts)
