# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Upload tokens: if any are set, only clients that have one may send crashes.

A token in a client that people install is no secret, since everybody who has the client can read it. But a sender who
knows only the URL is kept out, and an operator can withdraw a token. Tests are in ``tests/test_upload_tokens.py``.
"""

import hmac
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from antenna.config import expects
from antenna.crash import product_of, to_text

FIELD = "token"
"""Name of the token in the query string and among the annotations."""

_HEADER = "HTTP_X_CRASH_TOKEN"

Tokens = Mapping[str, tuple[str, ...]]

# The key of the tokens that are valid for every product.
_ALL = ""


@expects("tokens with blanks between them, for one product only Product:token token, and a semicolon between these")
def parse_upload_tokens(text: str) -> Tokens:
    """Read tokens by product. The key ``""`` has those for every product."""
    tokens: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(";"))):
        product, colon, listed = entry.rpartition(":")
        names = tuple(listed.replace(",", " ").split())
        if not names or (colon and not product.strip()):
            raise ValueError
        tokens[product.strip()] = tokens.get(product.strip(), ()) + names
    return tokens


class UploadTokens:
    """Tells whether a report has a token that is valid for its product."""

    def __init__(self, tokens: Tokens) -> None:
        """``tokens`` has the form that ``parse_upload_tokens`` returns."""
        # They are kept as bytes because compare_digest() takes only ASCII as text.
        self._tokens = {product: [name.encode() for name in names] for product, names in tokens.items()}

    @property
    def are_on(self) -> bool:
        """Whether reports need a token."""
        return bool(self._tokens)

    def allow(self, environ: Mapping[str, Any], annotations: dict[str, Any]) -> bool:
        """Whether a report has a valid token, as an annotation or in the query string or the header of its request.

        If it is among the ``annotations``, it is removed from them, so that it is not stored.
        """
        field = annotations.pop(FIELD, None)
        given = [*_tokens_of_request(environ), *([] if field is None else [to_text(field).encode("utf-8", "replace")])]
        product = product_of(annotations)
        valid = self._tokens.get(_ALL, []) + (self._tokens.get(product, []) if product else [])
        # All tokens are compared each time, so that the time taken tells nothing about them.
        return sum(hmac.compare_digest(one, other) for one in given for other in valid) > 0


def _tokens_of_request(environ: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the tokens in the query string and the header. WSGI decodes both as ISO 8859-1 (PEP 3333)."""
    fields = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, encoding="latin-1")
    header = environ.get(_HEADER)
    for token in [value for name, value in fields if name == FIELD] + ([] if header is None else [header.strip()]):
        yield token.encode("latin-1", "replace")
