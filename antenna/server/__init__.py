# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The collector's additions to gunicorn: deadlines, early answers, and a stop that loses no request.

Gunicorn loads ``conf``, which names the ``worker`` and prepares the master. The worker accepts connections. Gunicorn
reads the requests of a ``connection``, with the help of ``request_line`` where gunicorn itself is too strict or too
lax. ``framed_body`` is the body that the application reads, and ``early_answer`` answers a client that is still
sending. ``addresses`` and ``listener`` deal with the listening sockets, ``first_start`` and ``startup`` with starts,
and ``logger`` with gunicorn's own log records.

Three things are promised: no client holds up another one, each client gets its answer, and a stop loses no request.
Tests are in tests/server, and on running servers in tests/system. tests/system/hostile has the clients that break the
rules.

This file has no code. Gunicorn's configuration imports the package before gevent patches the standard library, and
nothing that gevent patches may be imported by then.
"""
