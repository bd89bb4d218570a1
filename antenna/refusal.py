# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How requests end, why reports are refused, and why crashes are lost: the lists behind answers, metrics and docs.

A part of the collector that cannot go on with a report raises ``Refusal`` with a ``Reason``, or ``Lost`` with a
``LossCause``. ``antenna.breakpad_resource`` and ``antenna.server`` turn the reason into the answer and count it. The
pages of the documentation are made from the same lists. Tests are in ``tests/test_breakpad_resource.py``.
"""

from enum import Enum
from http import HTTPStatus


class _Tag(Enum):
    """A list of the values that the tag of a metric may have."""

    def __init__(self, tag: str, doc: str) -> None:
        """``tag`` is the value, ``doc`` a sentence for the docs."""
        self.tag = tag
        self.doc = doc


class Outcome(_Tag):
    """How a request ended. Each request has one outcome, except requests to the collector's own GET routes.

    ``tag`` is the value of the ``outcome`` tag of the ``requests`` metric. ``doc`` is the sentence in the docs.
    """

    ACCEPTED = ("accepted", "The crash is kept and its id will be published.")
    DEFERRED = ("deferred", "The crash is kept; its id will not be published.")
    REJECTED = ("rejected", "A throttle rule rejected the crash.")
    FAKE = ("fake", "The client got a crash id, and nothing was kept.")
    MALFORMED = ("malformed", "The report is broken. The answer is 400.")
    UNAUTHORIZED = ("unauthorized", "The client has no right to send this report. The answer is 401.")
    TOO_LARGE = ("too_large", "The body, or a part of it, is over its size limit. The answer is 413.")
    TIMEOUT = ("timeout", "The client did not send its request in time. The answer is 408.")
    LOST = (
        "lost",
        "The crash could be kept nowhere (503), or the collector failed (500). The cause is a tag of `crashes_lost`.",
    )
    NOT_FOUND = (
        "not_found",
        "There is nothing at this path. The answer is 404. A crash reporter has a wrong URL, or a scanner came by.",
    )
    METHOD = (
        "method",
        "The path does not take this method. The answer is 405. A redirect that turns a POST into a GET ends so.",
    )
    BAD_HTTP = ("bad_http", "The request line or the headers are not valid HTTP. The answer is 400.")
    CLIENT_GONE = ("client_gone", "The client closed the connection before its request was whole.")


class LossCause(_Tag):
    """Why a crash was lost.

    ``tag`` is the value of the ``cause`` tag of the ``crashes_lost`` metric. ``doc`` is the sentence in the docs.
    """

    SPOOL_FULL = ("spool_full", "The storage did not take the crash, and the spool has no room.")
    SPOOL_ERROR = ("spool_error", "The storage did not take the crash, and the disk of the spool fails.")
    NO_SPOOL = ("no_spool", "The storage did not take the crash, and there is no spool.")
    TEMP = ("temp", "There was no room for the temporary files of the report, or their disk fails.")
    MEMORY = ("memory", "There was no memory for the annotations of the report.")
    ERROR = (
        "error",
        "The collector failed: the log and Sentry have the traceback. Or GUNICORN_GRACEFUL_TIMEOUT ended the request.",
    )


_OUTCOMES = {
    401: Outcome.UNAUTHORIZED,
    408: Outcome.TIMEOUT,
    413: Outcome.TOO_LARGE,
    503: Outcome.LOST,
}


class Reason(Enum):
    """A reason to refuse a crash report.

    ``status`` is the HTTP status of the answer, ``answer`` its body and ``doc`` a sentence for the docs. ``tag`` is the
    value of the ``reason`` tag of the ``breakpad_resource.malformed`` metric.
    """

    NO_CONTENT_TYPE = (400, "malformed_no_content_type", "There is no Content-Type header.")
    WRONG_CONTENT_TYPE = (
        400,
        "malformed_wrong_content_type",
        "The Content-Type is neither multipart/form-data nor multipart/mixed.",
    )
    NO_BOUNDARY = (
        400,
        "malformed_no_boundary",
        "The Content-Type has no boundary parameter, or an empty or overlong one.",
    )
    NO_CONTENT_LENGTH = (400, "malformed_no_content_length", "The body is empty.")
    UNSUPPORTED_ENCODING = (
        400,
        "malformed_unsupported_encoding",
        "The Content-Encoding is not gzip, x-gzip or identity, or the Transfer-Encoding is not chunked.",
    )
    BAD_FRAMING = (400, "malformed_bad_framing", "The chunks of the body are not framed as RFC 9112 section 7.1 says.")
    BAD_REQUEST = (400, "malformed_bad_request", "The request line or the headers are not valid HTTP.")
    INCOMPLETE_BODY = (
        400,
        "malformed_incomplete_body",
        "The client closed the connection before it had sent the whole body.",
    )
    BAD_GZIP = (400, "malformed_bad_gzip", "The body is not gzip although the header says so, or it is damaged.")
    INVALID_PAYLOAD_STRUCTURE = (
        400,
        "malformed_invalid_payload_structure",
        "The body is not valid multipart: it has no boundary, or the closing one is missing, or it has far too many.",
    )
    INVALID_JSON = (
        400,
        "malformed_invalid_json",
        "The annotations are not JSON in UTF-8, are nested too deeply, or hold NaN, Infinity or a number out of range.",
    )
    INVALID_JSON_VALUE = (400, "malformed_invalid_json_value", "The annotations are JSON, but not an object.")
    NO_ANNOTATIONS = (400, "malformed_no_annotations", "There is not a single annotation.")
    INVALID_DUMP_NAME = (
        400,
        "malformed_invalid_dump_name",
        "A dump is called raw_crash, dump_names or processed_crash, which are names of other objects of a crash.",
    )
    INVALID_UUID = (400, "malformed_invalid_uuid", "The uuid that an authorised client gave is not a crash id.")
    UNAUTHORIZED_UUID = (401, "unauthorized_uuid", "The report carries a uuid, but not the submitter's token.")
    UNAUTHORIZED = (401, "unauthorized", "The report has no valid upload token, and the collector asks for one.")
    TIMEOUT = (408, "timeout", "The body did not arrive in time.")
    TOO_LARGE = (413, "malformed_too_large", "The body, or a part of it, is over its size limit.")
    UNAVAILABLE = (
        503,
        "unavailable",
        "The crash could be neither saved nor spooled. The client may send it again later.",
    )

    def __init__(self, status: int, answer: str, doc: str) -> None:
        """``answer`` follows ``Discarded=`` in the body of the answer."""
        self.status = status
        self.answer = answer
        self.doc = doc

    @property
    def phrase(self) -> str:
        """Reason phrase of the status line."""
        return HTTPStatus(self.status).phrase

    @property
    def outcome(self) -> Outcome:
        """The outcome of a request that is refused for this reason."""
        if self is Reason.INCOMPLETE_BODY:
            return Outcome.CLIENT_GONE
        if self is Reason.BAD_REQUEST:
            return Outcome.BAD_HTTP
        return _OUTCOMES.get(self.status, Outcome.MALFORMED)

    @property
    def tag(self) -> str:
        """Tag value for metrics: the answer without its ``malformed_`` prefix."""
        return self.answer.removeprefix("malformed_")


class Refusal(Exception):
    """Raised when a report is refused. ``reason`` is told to the client, ``detail`` only to the log.

    ``detail`` never holds text that the client sent.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """``detail`` says more than the reason, such as which limit was exceeded."""
        super().__init__(reason.answer, detail)
        self.reason = reason
        self.detail = detail


class Lost(Refusal):
    """Raised when a crash can be kept nowhere, by no fault of the client's. ``cause`` says why. The answer is 503."""

    def __init__(self, cause: LossCause, detail: str = "") -> None:
        """``detail`` says more than the cause, such as what there was no room for."""
        super().__init__(Reason.UNAVAILABLE, detail)
        self.cause = cause
