# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The transport that both backends on Google Cloud use: requests to JSON APIs, with Google's authentication.

``GoogleHttp`` sends the requests of a backend. A request passes through these modules:

* ``http`` sends a request within a deadline, reads the status of its answer, and repeats it if a kept connection is
  gone.
* ``credentials`` finds the credentials. ``SharedToken`` asks for one token at a time, however many requests need one.
* ``pools`` keeps connections, for each host and for each proxy.
* ``proxies`` finds the proxy that the environment names for a URL.
* ``connection`` is one connection of urllib3, which notices when its peer is gone.
* ``addresses`` tries the addresses of a host until one of them takes a connection.

While one greenlet waits here, the others go on. ``tests/ext/google`` runs it against a server whose every byte a test
decides.
"""
