# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Antenna, the collector of a crash ingestion pipeline.

A crash takes this way: ``server`` (gunicorn with our additions) reads the request from the socket.
``breakpad_resource`` is called with it. ``payload`` turns its body into a ``crash`` report, ``throttler`` decides
whether the crash is kept, and ``crashmover`` saves it with a backend of ``ext`` and publishes its id. If a backend does
not work, ``spool`` keeps the crash on the disk until it does.

``app`` builds all of this from the ``config``. ``ops`` has logs, metrics and Sentry. ``minidump``, ``symbols`` and
``viewer`` are for people who look at stored crashes; the collector itself does not use them. docs/development.rst has a
drawing of the packages, and tests/test_house.py checks which package may import which.
"""
