# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the collector teaches gunicorn: deadlines, early answers, and a stop that loses nobody.

This file stays empty but for this text: gunicorn's configuration imports the package before gevent has patched the
standard library, and nothing that gevent patches may be imported by then.
"""
