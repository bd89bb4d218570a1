# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the two backends on Google Cloud share: requests to JSON APIs, with Google's authentication.

``GoogleHttp`` sends the requests of a backend, from the top to the bottom through these modules:

* ``http``: a request and its answer, within a deadline; what a status means; the repeat if a connection is gone.
* ``credentials``: who we are. ``SharedToken`` asks for one token at a time, however many requests need one.
* ``pools``: connections that are kept, for each host and for the way there.
* ``proxies``: which proxy the environment names for a URL.
* ``connection``: one connection of urllib3 that notices when its peer is gone.
* ``addresses``: which of the addresses of a name takes a connection.

While one greenlet waits in here, the others go on. ``tests/ext/google`` has a server whose every byte is a test's own.
"""
