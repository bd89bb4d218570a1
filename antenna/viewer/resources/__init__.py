# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The pages and what tools ask for, a module each.

They read the index, and for downloads the storage. They write only the notes that people enter about signatures.
"""
