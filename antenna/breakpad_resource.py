# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""POST /submit: reads the report, throttles it, mints its id, hands it to the crash mover, and answers."""

import hmac
import logging
import re
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import falcon
import markus

from antenna.config import ConfigManager, Option, parse_names
from antenna.crash import CrashReport, TemporaryFilesFailed, product_of, version_of
from antenna.crash import crash_id as crash_ids
from antenna.crashmover import CrashMover
from antenna.ops.accounts import MALFORMED, count_lost, count_request
from antenna.ops.errors import describe
from antenna.ops.floods import Floods
from antenna.ops.instance import Instance
from antenna.payload import PayloadReader, RequestBody
from antenna.refusal import LossCause, Lost, Outcome, Reason, Refusal
from antenna.server.framed_body import body_of
from antenna.throttler import ACCEPT, DEFER, FAKEACCEPT, REJECT, Throttler, Verdict
from antenna.upload_tokens import UploadTokens, parse_upload_tokens

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("breakpad_resource")
throttle_metrics = markus.get_metrics("throttle")

# Annotations that identify the user. By default they are not kept.
PRIVATE_ANNOTATIONS = ("Email", "TelemetryClientId", "TelemetryServerURL", "TelemetrySessionId")

# Seconds after which a client may try again when it was answered with 503. They are sent as Retry-After.
RETRY_AFTER = 60

# The outcome of a request whose crash the throttler did not reject.
_KEPT = {ACCEPT: Outcome.ACCEPTED, DEFER: Outcome.DEFERRED, FAKEACCEPT: Outcome.FAKE}

# A version that may be put into an answer. A client may send any text as its version.
_VERSION = re.compile(r"[0-9A-Za-z.+_-]{1,40}")


class BreakpadSubmitterResource:
    """Takes crash reports from crash reporters, and answers them."""

    class Config:
        """Options of the resource itself. The payload and the throttler have options of their own."""

        stage_submitter_bearer_token = Option(
            default="",
            doc="Bearer token of a client that may choose the ids of its crashes itself. If it is not set, no client "
            "may.",
        )
        upload_tokens = Option(
            default="",
            parser=parse_upload_tokens,
            doc="Tokens of clients. A report without one of them is refused with 401. If none is set, every client "
            "may send crashes.",
        )
        private_annotations = Option(
            default=",".join(PRIVATE_ANNOTATIONS),
            parser=parse_names,
            doc="Annotations that are removed from a crash after the rules have seen them. Each removal is noted in "
            "the raw crash. To remove none, set a comma alone.",
        )

    def __init__(
        self, config: ConfigManager, throttler: Throttler, crashmover: CrashMover, instance: Instance | None = None
    ) -> None:
        """``config`` has the namespace ``BREAKPAD``. ``instance`` is the table that all workers share."""
        self._instance = instance or Instance(workers=1)
        self.config = config.with_options(self)
        self.payload_reader = PayloadReader(config)
        self.throttler = throttler
        self.crashmover = crashmover
        #: Limits the lines about rejected crashes.
        self.floods = Floods()
        self._upload_tokens = UploadTokens(self.config("upload_tokens"))
        self._private_annotations: tuple[str, ...] = self.config("private_annotations")
        self._token: bytes = self.config("stage_submitter_bearer_token").encode("utf-8")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take a crash report. The answer is text of one line, or of two if the client should send no more of them."""
        start = time.monotonic()
        resp.content_type = "text/plain"
        outcome = Outcome.LOST
        try:
            outcome = self._answer(req.env, resp, start)
        # gevent kills a greenlet with a BaseException. Its crash is lost then, too, and has to be counted.
        except BaseException:
            metrics.incr("unhandled_error")
            self._lose(LossCause.ERROR)
            raise
        finally:
            metrics.timing("on_post.time", (time.monotonic() - start) * 1000)
            count_request(outcome)

    def _answer(self, environ: dict[str, Any], resp: falcon.Response, start: float) -> Outcome:
        """Read the report, keep or reject it, and answer. Returns how the request ended."""
        declared_size = int(environ.get("CONTENT_LENGTH") or 0)
        body = RequestBody(body_of(environ), declared_size, self.payload_reader.limits)
        try:
            with self.payload_reader.read(environ, body) as report:
                outcome, answer = self._collect(report, environ, start)
        except Refusal as refusal:
            return self._refuse(refusal, resp)
        except TemporaryFilesFailed as error:
            self.note_temporary_files(error)
            return self._refuse(Lost(LossCause.TEMP), resp)
        resp.data = answer.encode("ascii")
        return outcome

    def note_temporary_files(self, error: BaseException | None) -> bool:
        """Record the result of writing a temporary file: the error, or None if it worked. Returns whether it worked.

        A change is logged once for all workers.
        """
        if self._instance.changes("temporary_files", holds=error is not None):
            if error is not None:
                extra = {"event": "temporary_files_fail", "tell_sentry": True}
                logger.error("temporary files in %s: %s", self.payload_reader.temp_dir, describe(error), extra=extra)
            else:
                extra = {"event": "temporary_files_work", "tell_sentry": True}
                logger.warning("temporary files can be written again", extra=extra)
        return error is None

    def _lose(self, cause: LossCause) -> None:
        count_lost(cause)
        if self._instance.changes("losing", holds=True):
            extra = {"event": "losing", "reason": cause.tag, "tell_sentry": True}
            logger.error("crashes are being lost: %s", cause.doc, extra=extra)

    def _collect(self, report: CrashReport, environ: dict[str, Any], start: float) -> tuple[Outcome, str]:
        """Throttle a well-formed report, and hand it to the crash mover. Returns how the request ended, and the answer.

        ``start`` is the time at which the request began, by ``time.monotonic()``.
        """
        self._check_token(report, environ)
        known_id = self._known_id(report, environ)
        metrics.incr("incoming_crash")
        kind = "compressed" if report.payload_compressed else "uncompressed"
        metrics.histogram("crash_size", report.payload_size, tags=[f"payload:{kind}"])
        verdict = self._throttle(report)
        result = verdict.result
        if result == REJECT:
            # In some deployments nine of ten crashes are rejected. If the line would be left out, it is not even made.
            if self.floods.passes("rejected"):
                self._log_verdict(crash_ids.mint_for_log(report.submitted), report, verdict)
            return Outcome.REJECTED, _rejection(report, verdict)
        report.deferred = result == DEFER
        report.crash_id = known_id or crash_ids.mint(result, report.submitted)
        self._log_verdict(report.crash_id, report, verdict)
        _remove(report, (*self._private_annotations, *verdict.remove))
        if result != FAKEACCEPT:
            self.crashmover.move(report)
            metrics.timing("crash_handling.time", (time.monotonic() - start) * 1000)
        return _KEPT[result], f"CrashID=bp-{report.crash_id}\n"

    def _check_token(self, report: CrashReport, environ: dict[str, Any]) -> None:
        """If upload tokens are on, remove the token from the report. Raises ``Refusal`` if there is no valid one."""
        if not self._upload_tokens.are_on:
            return
        is_allowed = self._upload_tokens.allow(environ, report.annotations)
        # The submitter forwards reports from another collector, which has removed their tokens.
        if not is_allowed and not self._is_authorised(environ.get("HTTP_AUTHORIZATION", "")):
            metrics.incr("unauthorized")
            raise Refusal(Reason.UNAUTHORIZED)

    def _known_id(self, report: CrashReport, environ: dict[str, Any]) -> str | None:
        """Return the crash id that an authorised client gave, or None. Raises ``Refusal`` for any other ``uuid``."""
        if "uuid" not in report.annotations:
            return None
        if not self._is_authorised(environ.get("HTTP_AUTHORIZATION", "")):
            metrics.incr("unauthorized_uuid")
            raise Refusal(Reason.UNAUTHORIZED_UUID)
        known_id = report.annotations["uuid"]
        if not crash_ids.is_valid(known_id):
            raise Refusal(Reason.INVALID_UUID)
        return str(known_id)

    def _is_authorised(self, authorization: str) -> bool:
        scheme, _, token = authorization.strip().partition(" ")
        # The tokens are bytes because compare_digest() takes only ASCII as text. WSGI decodes headers as ISO 8859-1
        # (PEP 3333).
        given = token.strip().encode("latin-1", "replace")
        return bool(self._token) and scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)

    def _throttle(self, report: CrashReport) -> Verdict:
        verdict = self.throttler.judge(report.annotations, report.request_metadata())
        report.throttle_rule = verdict.rule_name
        report.throttle_rules = verdict.policy.label if verdict.policy.is_file else ""
        throttle_metrics.incr(verdict.result.name.lower())
        metrics.incr("throttle_rule", tags=[f"rule:{verdict.rule_name}"])
        return verdict

    def _log_verdict(self, crash_id: str, report: CrashReport, verdict: Verdict) -> None:
        result = verdict.result
        extra: dict[str, object] = {
            "event": "throttled",
            "crash_id": crash_id,
            "outcome": Outcome.REJECTED.tag if result == REJECT else _KEPT[result].tag,
            "rule": verdict.rule_name,
            "bytes": report.payload_size,
        }
        product = product_of(report.annotations)
        # Only listed products are logged, because a client may send any text as its product.
        if product in self.throttler.products:
            extra["product"] = product
        logger.info("%s: matched by %s; returned %s", crash_id, verdict.rule_name, result.name, extra=extra)

    def _refuse(self, error: Refusal, resp: falcon.Response) -> Outcome:
        """Answer with a refusal. Returns how the request ended."""
        reason = error.reason
        if isinstance(error, Lost):
            self._lose(error.cause)
        elif reason in MALFORMED:
            metrics.incr("malformed", tags=[f"reason:{reason.tag}"])
        extra = {"event": "refused", "outcome": reason.outcome.tag, "reason": reason.tag, "flood": "refused"}
        level = logging.INFO
        if isinstance(error, Lost):
            level = logging.WARNING
            extra |= {"event": "lost", "reason": error.cause.tag, "flood": "lost"}
        logger.log(level, "refused: %s", ": ".join(filter(None, error.args)), extra=extra)
        resp.status = HTTPStatus(reason.status)
        if reason is Reason.UNAVAILABLE:
            resp.set_header("Retry-After", str(RETRY_AFTER))
        resp.data = f"Discarded={reason.answer}".encode("ascii")
        return reason.outcome


def _rejection(report: CrashReport, verdict: Verdict) -> str:
    """Return the answer to a rejected crash."""
    answer = f"Discarded=rule_{verdict.rule_name}"
    version = version_of(report.annotations)
    if verdict.stop_sending and _VERSION.fullmatch(version):
        # Firefox's crash reporter then sends no more crashes of this version.
        return f"{answer}\nStopSendingReportsFor={version}"
    return answer


def _remove(report: CrashReport, names: Iterable[str]) -> None:
    for name in names:
        if name in report.annotations:
            del report.annotations[name]
            report.notes.append(f"Removed {name} from raw crash.")
