# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides how much the sender of a request may see.

There are two levels. Summaries are for the whole team: stacks, counts, harmless annotations. Protected data may have
secrets of the people whose program crashed: all annotations, comments, registers, command line, dumps.

A person sends a token once, at ``/login``. The browser keeps it in a cookie that scripts and other sites cannot use.
Tools send it as a bearer token. On 127.0.0.1 no token is needed. There the name of the host in the request is checked
instead. Otherwise a page on the web could give its own name the address 127.0.0.1, and read the viewer (DNS rebinding).
"""

import hashlib
import hmac
from enum import IntEnum
from urllib.parse import urlsplit

import falcon

from antenna.viewer.options import ViewerConfig

COOKIE = "antenna_viewer"

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


# Paths that need no token.
_PUBLIC = frozenset({"/login", "/static/viewer.css", "/__lbheartbeat__"})


class Level(IntEnum):
    """How much the sender of a request may see."""

    NOTHING = 0
    SUMMARY = 1
    PROTECTED = 2


class Access:
    """A middleware of Falcon that lets a request through or refuses it, and sets ``req.context.level``."""

    def __init__(self, config: ViewerConfig) -> None:
        """``config`` has the tokens, and the name of the header in which a proxy sends the user."""
        self._config = config
        self._cookies = {
            level: _cookie(token)
            for level, token in ((Level.SUMMARY, config.token), (Level.PROTECTED, config.protected_token))
            if token
        }
        # Whether everybody who reaches the viewer may look at it, so that only its address protects it.
        self._is_open = config.is_local and not config.trusted_header and not config.token

    def process_request(self, req: falcon.Request, _: falcon.Response) -> None:
        """Refuse requests that other sites make, and those of people who are not logged in."""
        if self._is_open and _host(req) not in _LOCAL_HOSTS:
            raise falcon.HTTPForbidden(title="This viewer is for this machine only: open it at http://127.0.0.1")
        if _is_cross_site(req) and not _is_link(req):
            raise falcon.HTTPForbidden(title="Another site has sent this request")
        req.context.level = self.level(req)
        if req.context.level is Level.NOTHING and req.path not in _PUBLIC:
            if self._config.trusted_header:
                raise falcon.HTTPForbidden(title="The proxy in front of the viewer has logged nobody in")
            if req.get_header("Auth-Token"):
                # Crash Stats' tools show the reason of a 403.
                raise falcon.HTTPForbidden(title="This is not the viewer's token")
            if is_for_tools(req.path) or req.get_header("Authorization"):
                raise falcon.HTTPUnauthorized(
                    title="Send the viewer's token: Authorization: Bearer TOKEN", challenges=["Bearer"]
                )
            raise falcon.HTTPSeeOther(f"/login?next={falcon.uri.encode_value(req.relative_uri)}")

    def level(self, req: falcon.Request) -> Level:
        """Return how much the sender of a request may see."""
        given = self._given(req)
        for level in (Level.PROTECTED, Level.SUMMARY):
            expected = self._cookies.get(level)
            if expected is not None and hmac.compare_digest(given, expected):
                return level
        if self._config.trusted_header:
            return Level.SUMMARY if req.get_header(self._config.trusted_header) else Level.NOTHING
        if not self._config.is_local:
            return Level.NOTHING
        if not self._cookies:
            return Level.PROTECTED
        return Level.NOTHING if Level.SUMMARY in self._cookies else Level.SUMMARY

    def cookie_for(self, token: str) -> str | None:
        """Return the cookie for a token that a person has typed, or None if the token is wrong."""
        given = _cookie(token)
        found = [cookie for cookie in self._cookies.values() if hmac.compare_digest(given, cookie)]
        return found[0] if found else None

    def _given(self, req: falcon.Request) -> str:
        # Crash Stats' tools send their token in this header.
        if auth_token := req.get_header("Auth-Token"):
            return _cookie(auth_token.strip())
        scheme, _, token = (req.get_header("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return _cookie(token.strip())
        return (req.get_cookie_values(COOKIE) or [""])[0].encode("ascii", "replace").decode("ascii")


def is_for_tools(path: str) -> bool:
    """Whether tools use this path. They get errors as JSON, not as a page."""
    return path.endswith("/json") or path.startswith(("/api/", "/symbolicate/"))


def require_protected(req: falcon.Request) -> None:
    """Raise ``HTTPForbidden`` if the sender of a request may not see protected data."""
    if req.context.level < Level.PROTECTED:
        raise falcon.HTTPForbidden(title="This is protected: log in with the token for protected data")


def _host(req: falcon.Request) -> str:
    """Return the host that a browser asked for. Raises ``HTTPBadRequest``."""
    try:
        return req.host.strip("[]").lower()
    except ValueError as error:  # its port is no number
        raise falcon.HTTPBadRequest(title="The header Host is not valid") from error


def _cookie(token: str) -> str:
    """Return the value of the cookie for a token. The token cannot be read from it."""
    return hmac.new(token.encode("utf-8"), b"antenna viewer", hashlib.sha256).hexdigest()


def _is_link(req: falcon.Request) -> bool:
    """Whether the request opens a page. A link on another site may do that; a picture or a script may not."""
    return req.method in {"GET", "HEAD"} and req.get_header("Sec-Fetch-Mode") in {None, "navigate"}


def _is_cross_site(req: falcon.Request) -> bool:
    """Whether another site has made the browser send a request (Fetch Metadata; Origin of RFC 6454)."""
    site = req.get_header("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = req.get_header("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != req.netloc
    except ValueError:  # no URL, so it is not the URL of this site
        return True
