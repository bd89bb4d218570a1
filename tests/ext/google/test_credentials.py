# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests carry a token, which is asked for once by all that need it."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gevent
import google.auth.exceptions
import google.oauth2.credentials
import pytest
from gevent.event import Event
from google.auth.credentials import Credentials
from google.auth.transport import Request as AuthRequest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, NoAnswer
from antenna.ext.google.credentials import credentials_for
from antenna.ops.errors import describe
from tests.support.google_http import LARGE, OK, RESULT, assert_ends_in_time, connect, post
from tests.support.peer import (
    Answer,
    Peer,
    Request,
    answer,
    send,
    send_later,
)


class FakeCredentials(Credentials):
    """Makes tokens without a server."""

    def __init__(self, outcome: Callable[[], None] = lambda: None, lifetime: float = 3600.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refreshed = 0
        self._outcome = outcome
        self._lifetime = lifetime

    def refresh(self, request: AuthRequest) -> None:
        self._outcome()
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
        now = datetime.now(UTC).replace(tzinfo=None)
        self.expiry = now + timedelta(seconds=self._lifetime)


def fail() -> None:
    raise google.auth.exceptions.RefreshError("invalid_grant")


def fail_to_connect() -> None:
    raise google.auth.exceptions.TransportError("connection refused")


class TestToken:
    """Requests carry a token, which is made anew when it expires."""

    def test_is_made_once_and_sent_with_each_request(self) -> None:
        credentials = FakeCredentials()
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            for _ in range(3):
                post(client)
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1"] * 3

    def test_is_made_anew_when_it_expires(self) -> None:
        credentials = FakeCredentials(lifetime=0)
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            for _ in range(2):
                post(client)
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1", "Bearer token-2"]

    def test_is_made_anew_when_the_server_takes_it_no_longer(self) -> None:
        credentials = FakeCredentials()
        with Peer(send(answer(b"{}", 401)), send(OK)) as peer:
            client = connect(peer, credentials)

            assert post(client, LARGE) == RESULT
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1", "Bearer token-2"]
        assert [request.body for request in peer.requests] == [LARGE, LARGE]

    def test_is_not_made_anew_again_and_again_for_a_server_that_takes_none(self) -> None:
        credentials = FakeCredentials()
        with Peer(send(answer(b"{}", 401))) as peer:
            client = connect(peer, credentials)
            for _ in range(3):
                with pytest.raises(BackendDenied):
                    post(client)
            client.close()

        assert credentials.refreshed == 2

    @pytest.mark.parametrize("lifetime", [3600.0, 0.0], ids=["lasts", "has expired when it comes"])
    def test_is_asked_for_once_by_all_that_need_one(self, lifetime: float) -> None:
        credentials = FakeCredentials(lambda: gevent.sleep(0.2), lifetime)
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            posts = [gevent.spawn(post, client) for _ in range(30)]
            gevent.joinall(posts, raise_error=True)
            client.close()

        assert credentials.refreshed == 1
        assert len(peer.requests) == 30

    def test_that_is_refused_is_replaced_once_for_all_that_had_it(self) -> None:
        credentials = FakeCredentials(lambda: gevent.sleep(0.2))

        def refuse_the_first_token(request: Request) -> Answer:
            is_first = request.headers["authorization"] == "Bearer token-1"
            return send_later(0.1, answer(b"{}", 401)) if is_first else send(OK)

        with Peer(choose=refuse_the_first_token) as peer:
            client = connect(peer, credentials)
            gevent.joinall([gevent.spawn(post, client) for _ in range(30)], raise_error=True)
            client.close()

        assert credentials.refreshed == 2
        tokens = Counter(request.headers["authorization"] for request in peer.requests)
        assert tokens["Bearer token-1"] > 1
        assert tokens["Bearer token-2"] == 30

    def test_that_expires_soon_is_replaced_while_requests_go_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.credentials._YOUNG", 0.0)
        answers = [True]
        may_answer = Event()

        def wait_the_second_time() -> None:
            if not answers:
                may_answer.wait()
            answers.clear()

        credentials = FakeCredentials(wait_the_second_time, lifetime=60)
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            post(client)
            gevent.joinall([gevent.spawn(post, client) for _ in range(30)], raise_error=True)
            assert credentials.refreshed == 1
            may_answer.set()
            gevent.sleep(0.1)
            assert credentials.refreshed == 2
            post(client)
            client.close()

        tokens = [request.headers["authorization"] for request in peer.requests]
        assert tokens == ["Bearer token-1"] * 31 + ["Bearer token-2"]

    def test_that_expires_soon_and_cannot_be_replaced_serves_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.credentials._YOUNG", 0.0)
        asked = []

        def fail_the_second_time() -> None:
            asked.append(time.monotonic())
            if len(asked) > 1:
                fail_to_connect()

        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(fail_the_second_time, lifetime=60))
            for _ in range(10):
                assert post(client) == RESULT
                gevent.sleep(0.01)
            client.close()

        assert len(asked) == 2

    def test_that_cannot_be_had_is_not_asked_for_by_each(self) -> None:
        asked = []

        def fail_after_a_while() -> None:
            asked.append(time.monotonic())
            gevent.sleep(0.1)
            raise google.auth.exceptions.TransportError("status 429")

        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(fail_after_a_while))
            posts = [gevent.spawn_later(number * 0.004, post, client) for number in range(30)]
            gevent.joinall(posts)

            assert [str(failed.exception) for failed in posts] == (
                ["no token for Google Cloud: TransportError: status 429"] * 30
            )
            assert all(isinstance(failed.exception, BackendError) for failed in posts)
            assert len(asked) == 1
            client.close()

    def test_is_asked_for_again_after_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.credentials._PAUSE", 0.1)
        failures = [google.auth.exceptions.TransportError("status 503")]

        def fail_once() -> None:
            if failures:
                raise failures.pop()

        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(fail_once))
            with pytest.raises(BackendError, match="status 503"):
                post(client)
            gevent.sleep(0.2)

            assert post(client) == RESULT
            client.close()

    def test_that_others_wait_for_while_connections_are_given_up(self) -> None:
        credentials = FakeCredentials(lambda: gevent.sleep(0.2))
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            waiting = gevent.spawn(post, client)
            gevent.sleep(0.05)
            client.close()

            assert waiting.get() == RESULT
            client.close()

    def test_that_hangs_is_told_from_a_storage_that_hangs(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(lambda: gevent.sleep(10)))
            with pytest.raises(NoAnswer, match="no token for Google Cloud in time"):
                post(client, seconds=0.1)
            client.close()

    def test_is_never_in_an_error(self) -> None:
        with Peer(send(answer(b"{}", 403))) as peer:
            client = connect(peer, FakeCredentials())
            with pytest.raises(BackendDenied) as raised:
                post(client)
            client.close()

        assert "token-1" not in str(raised.value)

    @pytest.mark.parametrize("outcome", [fail, fail_to_connect])
    def test_that_cannot_be_made_is_an_error_of_the_backend(self, outcome: Callable[[], None]) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(outcome))
            with pytest.raises(BackendError, match=r"RefreshError: |TransportError: ") as raised:
                post(client)
            # Logs and heartbeat show the message only if it comes from our own code.
            assert describe(raised.value) == str(raised.value)
            client.close()

        assert peer.requests == []

    def test_takes_no_longer_than_the_deadline(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(lambda: gevent.sleep(10)))

            assert_ends_in_time(lambda seconds: post(client, seconds=seconds))
            client.close()

    def test_of_a_real_token_server(self) -> None:
        token = json.dumps({"access_token": "real", "expires_in": 3600}).encode()
        with Peer(send(answer(token))) as server, Peer(send(OK)) as peer:
            credentials = google.oauth2.credentials.Credentials(
                None, refresh_token="r", token_uri=f"{server.url}/token", client_id="c", client_secret="s"
            )
            client = connect(peer, credentials)
            for _ in range(2):
                post(client)
            client.close()

        assert [request.line for request in server.requests] == ["POST /token HTTP/1.1"]
        assert {request.headers["authorization"] for request in peer.requests} == {"Bearer real"}

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_that_the_token_server_refuses_is_an_error_of_the_backend(self, status: int) -> None:
        with Peer(send(answer(b'{"error": "invalid_grant"}', status))) as server, Peer(send(OK)) as peer:
            credentials = google.oauth2.credentials.Credentials(
                None, refresh_token="r", token_uri=f"{server.url}/token", client_id="c", client_secret="s"
            )
            client = connect(peer, credentials)
            with pytest.raises(BackendError, match="invalid_grant"):
                post(client)
            client.close()


class TestCredentials:
    """The credentials are Google's application default credentials. For an emulator there are no credentials."""

    def test_of_an_emulator(self) -> None:
        assert credentials_for("127.0.0.1:8080", ["scope"]) is None

    def test_of_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "key.json"
        file.write_text(
            json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"})
        )
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

        credentials = credentials_for(None, ["scope"])

        assert isinstance(credentials, google.oauth2.credentials.Credentials)
        assert credentials.client_id == "c"

    @pytest.mark.parametrize("content", [None, "", "{}", '{"type": "odd"}'])
    def test_that_are_missing_or_broken_stop_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
    ) -> None:
        file = tmp_path / "key.json"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

        with pytest.raises(BackendConfigurationError, match="no credentials for Google Cloud: "):
            credentials_for(None, ["scope"])

    def test_that_are_found_on_the_machine_are_looked_for_until_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found: list[Credentials] = []

        def find(**_: object) -> tuple[Credentials, None]:
            if not found:
                raise google.auth.exceptions.DefaultCredentialsError("the metadata server gives no answer")
            return found[0], None

        monkeypatch.setattr(google.auth, "default", find)
        monkeypatch.setattr("antenna.ext.google.credentials._PAUSE", 0.1)
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials_for(None, ["scope"]))
            with pytest.raises(BackendError, match="DefaultCredentialsError: the metadata server gives no answer"):
                post(client)
            found.append(FakeCredentials())
            gevent.sleep(0.2)

            assert [post(client) for _ in range(2)] == [RESULT] * 2
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1"] * 2

    def test_by_federation_need_no_network_until_there_is_a_request(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "subject").write_text("abc")
        pool = "projects/1/locations/global/workloadIdentityPools/p"
        token = {"access_token": "federated", "expires_in": 3600, "issued_token_type": "t", "token_type": "Bearer"}
        with Peer(send(answer(json.dumps(token).encode()))) as server, Peer(send(OK)) as peer:
            file = tmp_path / "credentials.json"
            file.write_text(
                json.dumps(
                    {
                        "type": "external_account",
                        "audience": f"//iam.googleapis.com/{pool}/providers/x",
                        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                        "token_url": f"{server.url}/v1/token",
                        "credential_source": {"file": str(tmp_path / "subject")},
                    }
                )
            )
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
            credentials = credentials_for(None, ["https://www.googleapis.com/auth/pubsub"])
            assert server.connections == []
            client = connect(peer, credentials)

            assert [post(client) for _ in range(2)] == [RESULT] * 2

            assert [request.line for request in server.requests] == ["POST /v1/token HTTP/1.1"]
            assert {request.headers["authorization"] for request in peer.requests} == {"Bearer federated"}
            client.close()
