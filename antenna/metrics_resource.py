# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/metrics``: the metrics of all workers, for Prometheus. It is only on ADMIN_PORT."""

import falcon

from antenna.ops.prometheus import Exposition


class MetricsResource:
    """Answers in the format that the request asks for: OpenMetrics, or that of Prometheus."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the metrics of all workers."""
        resp.data, resp.content_type = self._exposition(req.accept)
        resp.cache_control = ["no-store"]

    on_head = on_get
