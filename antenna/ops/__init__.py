# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The tools of an operator: logs, metrics, Sentry, and the table by which the workers of an instance know each other.

``antenna.app`` calls ``set_up_logging``, ``set_up_sentry`` and ``set_up_metrics`` at start. The other packages then log
and emit metrics without knowing where these go. ``instance`` is a table in memory that all workers share. ``watch``
writes the state of a worker into it, and ``gauges`` sends the state of all workers as metrics. ``accounts`` counts how
each request ended. ``errors`` says what may be told about an error, and ``floods`` limits how many log lines of the
same kind are written.

Two things are promised: a crash never waits for a metric or for Sentry, and nothing that a client sent gets into logs
or Sentry, except for what docs/logs.rst lists. Tests are in tests/ops.
"""
