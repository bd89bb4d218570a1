# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``/api/``: searches and crashes for tools, with the names and in the shapes of Crash Stats."""

import falcon

from antenna.crash import crash_id as crash_ids
from antenna.viewer.access import Level
from antenna.viewer.resources.report import ReportResource
from antenna.viewer.searcher import Searcher, parse_parameters
from antenna.viewer.socorro import processed_crash
from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.search import SearchTimeoutError

TOOK_TOO_LONG = "the search took too long: ask for fewer days, or for less at once"
MINIDUMP = "upload_file_minidump"


class SuperSearchResource:
    """``/api/search``, and ``/api/SuperSearch/``: searches."""

    def __init__(self, searcher: Searcher) -> None:
        """``searcher`` runs the searches."""
        self._searcher = searcher

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with ``hits``, ``facets``, ``total`` and ``errors``."""
        try:
            resp.media = self._searcher.search(parse_parameters(req.query_string))
        except QueryError as error:
            answer_error(resp, falcon.HTTP_BAD_REQUEST, str(error))
        except SearchTimeoutError:
            answer_error(resp, falcon.HTTP_SERVICE_UNAVAILABLE, TOOK_TOO_LONG)


def answer_error(resp: falcon.Response, status: str, errors: str) -> None:
    """Answer with ``errors``, a text with one error a line."""
    lines = errors.splitlines()
    resp.status = status
    resp.media = {"error": "; ".join(lines), "errors": lines}


class FieldsResource:
    """``/api/SuperSearchFields/``: the fields that can be searched."""

    def __init__(self, searcher: Searcher) -> None:
        """``searcher`` knows the fields."""
        self._fields = searcher.fields

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the fields, by their names."""
        resp.media = {
            field.name: {
                "name": field.name,
                "query_type": field.kind.value,
                "description": field.doc,
                "is_exposed": True,
                "is_returned": True,
                "permissions_needed": [],
                "form_field_choices": [],
            }
            for field in self._fields
        }


class CrashResource:
    """Crashes, in the form in which Crash Stats gives them to tools."""

    def __init__(self, reports: ReportResource, searcher: Searcher) -> None:
        """``reports`` returns the parts of a crash that may be seen, ``searcher`` the values of its fields."""
        self._reports = reports
        self._searcher = searcher

    def on_get_processed(self, req: falcon.Request, resp: falcon.Response, crash_id: str = "") -> None:
        """``/api/report/<id>``, and ``/api/ProcessedCrash/?crash_id=``: answer with the processed crash."""
        crash_id = _crash_id(req, crash_id)
        try:
            facts = self._searcher.facts(crash_id)
        except SearchTimeoutError as error:
            raise falcon.HTTPServiceUnavailable(title=TOOK_TOO_LONG) from error
        resp.media = processed_crash(self._reports.report(req, crash_id), facts, crash_id)

    def on_get_index(self, _: falcon.Request, __: falcon.Response, crash_id: str) -> None:
        """``/report/index/<id>``, which is the URL at Crash Stats: redirect to the page of the crash."""
        raise falcon.HTTPMovedPermanently(f"/report/{falcon.uri.encode_value(crash_id)}")

    def on_get_raw(self, req: falcon.Request, resp: falcon.Response) -> None:
        """``/api/RawCrash/?crash_id=``: answer with the annotations, or with a dump if ``format`` is ``raw``."""
        crash_id = _crash_id(req)
        if req.get_param("format") == "raw":
            name = req.get_param("name") or MINIDUMP
            # At Crash Stats, the minidump is called ``dump``.
            self._reports.on_get_dump(req, resp, crash_id, MINIDUMP if name == "dump" else name)
        elif req.context.level >= Level.PROTECTED:
            self._reports.on_get_raw(req, resp, crash_id)
        else:
            report = self._reports.report(req, crash_id)
            resp.media = report["annotations"] | {"uuid": crash_id}


def _crash_id(req: falcon.Request, text: str = "") -> str:
    crash_id = (text or req.get_param("crash_id") or "").strip().removeprefix("bp-").lower()
    if not crash_ids.is_valid(crash_id):
        raise falcon.HTTPBadRequest(title="crash_id is no crash id")
    return crash_id
