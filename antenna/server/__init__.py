# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the collector teaches gunicorn: deadlines, early answers, and a stop that loses nobody.

Gunicorn loads ``conf``, which names the ``worker`` and prepares the master. The worker accepts connections, and
gunicorn reads a request from a ``connection``: with ``request_line``, where it is too strict or too lax.
``framed_body`` is the body that the application reads, and ``early_answer`` is how it answers a client that is still
sending. ``addresses`` and ``listener`` are about the listening sockets, ``first_start`` and ``startup`` about starts,
``logger`` about gunicorn's own log records.

Promised: no client holds up another, each gets its answer, and a stop loses no request. Tested in tests/server, and on
running servers in tests/system, where tests/system/hostile has the clients that do not play by the rules.

This file stays empty but for this text: gunicorn's configuration imports the package before gevent has patched the
standard library, and nothing that gevent patches may be imported by then.
"""
