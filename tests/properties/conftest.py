# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The number of examples that properties are tried with.

The examples are the same each time that the same modules are loaded, because they have constants of these modules.
``PROPERTY_EXAMPLES=5000 make test ARGS=tests/properties`` tries more, and different ones each time.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "25"))

settings.register_profile(
    "collector",
    max_examples=EXAMPLES,
    derandomize="PROPERTY_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    # Examples are large, because reports have many parts. Fixtures may be shared, because they do not change.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("collector")
