# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps the promise that a crash id makes: the crash is saved and its id published, or both wait in the spool.

``CrashMover.move`` saves a crash and publishes its id, each within a deadline. If a backend does not take it in time,
the crash goes to the spool, and the client gets its id all the same. ``SpoolDelivery`` works through the spool in the
background. A ``CircuitBreaker`` for each backend says whether crashes try it at all.
"""
