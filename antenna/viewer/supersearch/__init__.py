# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Super Search: finds crashes by their fields, in the language of Mozilla's Crash Stats.

``fields`` lists everything that can be searched. When the index gets a crash, ``facts`` takes the values of its fields,
and ``tables`` stores them. For a search, ``query`` reads the parameters of the URL, with ``conditions`` and
``patterns`` for the operators in front of values. ``sql`` turns the conditions into SQL, ``aggregations`` counts, and
``search`` builds the answer within a time limit.

Only annotations that summaries may show are fields. So a search cannot find protected data.
"""
