# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Super Search: crashes by their fields, in the language of Mozilla's Crash Stats.

``fields`` is the one list of what can be searched. ``facts`` takes the values of the fields from a crash when the index
gets it, and ``tables`` keeps them. ``query`` reads the parameters of a URL, with ``conditions`` and ``patterns`` for
the operators in front of values. ``sql`` turns conditions into SQL, ``aggregations`` counts, and ``search`` puts the
answer together, within a time limit.

Only annotations that summaries may show are fields, so a search can find nothing that is protected.
"""
