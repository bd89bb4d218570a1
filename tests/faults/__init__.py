# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash id is a promise, whatever goes wrong: faults, kills and restarts under load, and then the books are checked.

``make faults SCHEDULES=1000`` plays many schedules, ``make test`` a few. Everything in a schedule comes from its seed;
when the operating system does what is not in it.
"""
