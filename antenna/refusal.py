# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Why a crash report is refused: the one list behind the answer, the metric tag and the docs."""

from enum import Enum
from http import HTTPStatus


class Reason(Enum):
    """A reason to refuse a crash report.

    Each has the HTTP status of the answer, its body and a sentence for the docs. ``tag`` is the
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
        "The Content-Encoding is something other than gzip, x-gzip or identity.",
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
        "The body is not multipart: no boundary in it, or the closing one is missing, or the content is full of them.",
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
        "A dump is called raw_crash, dump_names or processed_crash: names of other objects of a crash.",
    )
    INVALID_UUID = (400, "malformed_invalid_uuid", "The uuid that an authorised client gave is not a crash id.")
    UNAUTHORIZED_UUID = (401, "unauthorized_uuid", "The report carries a uuid, but not the submitter's token.")
    TIMEOUT = (408, "timeout", "The body did not arrive in time.")
    TOO_LARGE = (413, "malformed_too_large", "Something is over its size limit: the body, or something in it.")
    UNAVAILABLE = (503, "unavailable", "The crash could be neither saved nor spooled. Send it again later.")

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
    def tag(self) -> str:
        """Tag value for metrics: the answer without its ``malformed_`` prefix."""
        return self.answer.removeprefix("malformed_")


class Refusal(Exception):
    """A crash report that is refused, for ``reason``; ``detail`` is for the log, never from the client."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """``detail`` adds to the log line what the reason alone does not say."""
        super().__init__(reason.answer, detail)
        self.reason = reason
        self.detail = detail
