# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/symbolicate/v5``: finds the functions at addresses, like Mozilla's symbol server Tecken."""

import json

import falcon

from antenna.hub import run_blocking
from antenna.json_size import count_built
from antenna.symbols import prepare_demangling
from antenna.viewer.symbolication import BadRequestError, Symbolicator, TooLongError

# Most bytes of a request. That of a program with 300 threads and 300 modules has 1 MB. A larger one gets 413.
MAX_REQUEST = 4 * 1024**2
# Most containers and values of its JSON, which take some 100 bytes of memory each. A request with more gets 413.
_MAX_ITEMS = 250_000


class SymbolicateResource:
    """Answers with the functions, files and lines at addresses."""

    def __init__(self, symbolicator: Symbolicator) -> None:
        """``symbolicator`` has the symbols."""
        self._symbolicator = symbolicator

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a request. Its body is JSON, whatever the Content-Type says: curl declares it as a form."""
        content = req.bounded_stream.read(MAX_REQUEST + 1)
        if len(content) > MAX_REQUEST:
            raise falcon.HTTPContentTooLarge(title=f"The request has more than {MAX_REQUEST} bytes")
        if count_built(content, _MAX_ITEMS) > _MAX_ITEMS:
            raise falcon.HTTPContentTooLarge(title=f"The request has more than {_MAX_ITEMS} lists and numbers")
        try:
            request = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise falcon.HTTPBadRequest(title="The request is not JSON") from error
        prepare_demangling()
        try:
            # This reads symbols from the disk.
            resp.media = run_blocking(self._symbolicator.answer, request)
        except BadRequestError as error:
            raise falcon.HTTPBadRequest(title=str(error)) from error
        except TooLongError as error:
            raise falcon.HTTPServiceUnavailable(
                title="It took too long: ask for less at once", retry_after=10
            ) from error
