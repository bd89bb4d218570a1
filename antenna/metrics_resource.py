# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/metrics``: the metrics of all workers, for Prometheus. It is on ADMIN_PORT only."""

import falcon

from antenna.ops.prometheus import Exposition


class MetricsResource:
    """Answers in the format that is asked for: OpenMetrics, or Prometheus' own."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer what the metrics of all workers have come to."""
        resp.data, resp.content_type = self._exposition(req.accept)
        resp.cache_control = ["no-store"]

    on_head = on_get
