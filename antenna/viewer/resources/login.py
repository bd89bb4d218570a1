# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/login``: the page on which people log in with a token."""

import re

import falcon
import gevent

from antenna.viewer.access import COOKIE, Access
from antenna.viewer.pages import Pages, read_form

# The path of a page of the viewer. Paths that begin with // or /\ are not, since browsers take the rest for a host. Nor
# may there be tabs or line breaks, since browsers leave these out.
_OWN_PAGE = re.compile(r"/(?![/\\])[!-\[\]-~]*")
# Seconds until a wrong token is answered, so that guessing takes long.
_PAUSE = 1.0


class LoginResource:
    """Shows the form, and sets the cookie if the token is right."""

    def __init__(self, access: Access, pages: Pages, *, pause: float = _PAUSE) -> None:
        """``access`` knows the tokens. After a wrong one the answer takes ``pause`` seconds."""
        self._access = access
        self._pages = pages
        self._pause = pause

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the form."""
        self._pages.render(resp, "login.html", next=req.get_param("next") or "/", wrong=False)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log somebody in, or show the form again."""
        form = read_form(req)
        target = form.get("next", "/")
        cookie = self._access.cookie_for(form.get("token", ""))
        if cookie is None:
            gevent.sleep(self._pause)
            resp.status = falcon.HTTP_FORBIDDEN
            self._pages.render(resp, "login.html", next=target, wrong=True)
            return
        is_secure = req.forwarded_scheme == "https"
        resp.set_cookie(COOKIE, cookie, http_only=True, same_site="Strict", secure=is_secure, path="/")
        resp.status = falcon.HTTP_SEE_OTHER
        resp.location = target if _OWN_PAGE.fullmatch(target) else "/"
