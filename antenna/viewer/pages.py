# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Renders templates as pages, and reads forms."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import falcon
import gevent
import jinja2

# Tells browsers to load nothing from elsewhere and to run no script, whatever text a crash has.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# Pieces of a page after which other requests have their turn, which takes some 20 ms. The page of a report with many
# threads takes half a second.
_PIECES = 5000
# Most bytes of a form. A larger one is answered with 413.
_MAX_FORM = 64 * 1024

# Control characters, and those that change the direction of text. With them a crash could make its page look different.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class Pages:
    """Renders templates. All values are escaped, and invisible characters in them are spelt out."""

    def __init__(self) -> None:
        """Take the templates from the directory beside this module."""
        self._templates = _templates()

    def render(self, resp: falcon.Response, template: str, **values: Any) -> None:
        """Answer with a page."""
        resp.content_type = falcon.MEDIA_HTML
        pieces = []
        for number, piece in enumerate(self._templates.get_template(template).generate(**values)):
            pieces.append(piece)
            if number % _PIECES == 0:
                gevent.sleep(0)
        resp.data = "".join(pieces).encode("utf-8", "replace")


@cache
def _templates() -> jinja2.Environment:
    """Return what loads the templates. It keeps those that were used, since each takes some 10 ms to compile."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    templates.filters |= {
        "moment": moment,
        "number": "{:,}".format,
        "size": size,
        "urlencode": falcon.uri.encode_value,
    }
    return templates


class Headers:
    """A middleware that adds headers, so that browsers do nothing with an answer but show it."""

    def process_response(self, _: falcon.Request, resp: falcon.Response, __: object, ___: bool) -> None:  # noqa: FBT001 - Falcon's
        """Add the headers to every answer."""
        resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Referrer-Policy", "same-origin")
        resp.set_header("Cross-Origin-Resource-Policy", "same-origin")
        resp.set_header("Cross-Origin-Opener-Policy", "same-origin")
        resp.set_header("Cache-Control", "no-store")


def read_form(req: falcon.Request) -> dict[str, str]:
    """Return the fields of a form that was sent. Raises ``HTTPError``."""
    if (req.content_length or 0) > _MAX_FORM:
        raise falcon.HTTPContentTooLarge(title="The form is too large")
    if (req.content_type or "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise falcon.HTTPUnsupportedMediaType(title="Only forms are taken here")
    text = req.bounded_stream.read(_MAX_FORM).decode("utf-8", "replace")
    found = falcon.uri.parse_query_string(text, keep_blank=True)
    return {name: value if isinstance(value, str) else value[-1] for name, value in found.items()}


def visible(text: str) -> str:
    r"""Return ``text`` with control characters, and those that change its direction, written like ``\u{202e}``."""
    return _INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def moment(time: float | str | None) -> str:
    """Return a time for people, in UTC. ``time`` is in seconds since 1970, or in ISO 8601."""
    try:
        if isinstance(time, str):
            time = datetime.fromisoformat(time).timestamp()
        return "never" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "unknown"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count >= 1024**3:
        return f"{count / 1024**3:,.1f} GiB"
    return f"{count / 1024**2:,.1f} MiB"


def day(text: str) -> str:
    """Return YYYYMMDD as YYYY-MM-DD."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"
