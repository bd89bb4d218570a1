# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What happens to an error that no resource expected."""

import logging
from typing import Any

import falcon

logger = logging.getLogger(__name__)


def handle_unexpected_error(req: falcon.Request, resp: falcon.Response, error: Exception, _params: Any) -> None:
    """Log the error, which reports it to Sentry, and answer 500; for ``add_error_handler``.

    Falcon's own handler would write the traceback and the query string to stderr, line by line.
    """
    # The route that matched, not the path that was asked for: that is the client's.
    logger.error("unhandled error in %s", req.uri_template or "no route", exc_info=error)
    resp.status = falcon.HTTP_500
    resp.content_type = falcon.MEDIA_TEXT
    resp.cache_control = ["no-store"]
    resp.text = ""
