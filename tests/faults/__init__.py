# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash id is a promise that holds under faults, kills and restarts. These tests cause them under load, then check.

``make faults SCHEDULES=1000`` plays many schedules, ``make test`` plays a few. Everything in a schedule comes from its
seed. Only the timing of the operating system does not.
"""
