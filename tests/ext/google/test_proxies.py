# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests go through the proxies that the environment names. Their passwords stay secret."""

import base64
import json
import ssl
from collections.abc import Callable

import google.oauth2.credentials
import pytest

from antenna.backend import BackendConfigurationError, BackendError
from antenna.ext.google.http import GoogleHttp
from antenna.ext.google.proxies import proxy_for
from tests.support.egress_proxy import EgressProxy
from tests.support.google_http import LARGE, OK, RESULT, post
from tests.support.peer import Peer, answer, send, send_and_close

MakeTls = Callable[[str], ssl.SSLContext]

GCS = "https://storage.googleapis.com"
PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def url_of_proxy(url: str) -> str | None:
    proxy = proxy_for(url)
    return None if proxy is None else proxy.url


class TestVariables:
    """The variables mean what they mean to curl."""

    @pytest.mark.parametrize(
        ("environment", "url", "expected"),
        [
            ({}, GCS, None),
            ({"HTTPS_PROXY": PROXY}, GCS, PROXY),
            ({"https_proxy": PROXY}, GCS, PROXY),
            ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test:1"}, GCS, PROXY),
            ({"https_proxy": "", "HTTPS_PROXY": PROXY}, GCS, None),
            ({"HTTPS_PROXY": ""}, GCS, None),
            ({"HTTP_PROXY": PROXY}, GCS, None),
            ({"HTTP_PROXY": PROXY}, "http://emulator.test:4443", PROXY),
            ({"http_proxy": PROXY}, "http://127.0.0.1:4443", PROXY),
            ({"HTTPS_PROXY": PROXY}, "http://emulator.test:4443", None),
            ({"ALL_PROXY": PROXY}, GCS, PROXY),
            ({"all_proxy": PROXY, "HTTPS_PROXY": "http://other.test:1"}, GCS, "http://other.test:1"),
            ({"HTTPS_PROXY": "proxy.test:3128"}, GCS, PROXY),
            ({"HTTPS_PROXY": "https://proxy.test"}, GCS, "https://proxy.test:443"),
            ({"HTTPS_PROXY": "http://proxy.test/"}, GCS, "http://proxy.test:80"),
            ({"HTTPS_PROXY": "http://[::1]:3128"}, GCS, "http://[::1]:3128"),
        ],
    )
    def test_name_the_proxy(
        self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, expected: str | None
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        assert url_of_proxy(url) == expected

    @pytest.mark.parametrize(
        ("exceptions", "url", "is_direct"),
        [
            ("storage.googleapis.com", GCS, True),
            ("STORAGE.googleapis.com", GCS, True),
            ("googleapis.com", GCS, True),
            (".googleapis.com", GCS, True),
            ("*.googleapis.com", GCS, True),
            ("apis.com", GCS, False),
            ("pubsub.googleapis.com", GCS, False),
            ("localhost, .googleapis.com", GCS, True),
            ("localhost .googleapis.com", GCS, True),
            ("*", GCS, True),
            ("", GCS, False),
            (",", GCS, False),
            (".", GCS, False),
            ("googleapis.com:443", GCS, True),
            ("googleapis.com:8443", GCS, False),
            ("googleapis.com:8443", "https://storage.googleapis.com:8443", True),
            ("10.1.2.3", "https://10.1.2.3", True),
            ("10.1.2.3:8443", "https://10.1.2.3:8443", True),
            ("10.1.2.3:8443", "https://10.1.2.3", False),
            ("10.0.0.0/8", "https://10.1.2.3:8443", True),
            ("10.0.0.0/8", "https://11.1.2.3", False),
            ("10.0.0.0/8", GCS, False),
            ("2001:db8::/32", "https://[2001:db8::1]", True),
            ("::1", "https://[::1]:8443", True),
            ("[::1]:8443", "https://[::1]:8443", True),
            ("[::1]:8443", "https://[::1]", False),
        ],
    )
    @pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
    def test_name_exceptions(
        self, monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str, url: str, is_direct: bool
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        monkeypatch.setenv(name, exceptions)

        assert url_of_proxy(url) == (None if is_direct else PROXY)

    @pytest.mark.parametrize(
        "url", ["http://metadata.google.internal/x", "http://169.254.169.254", "http://own.test:8"]
    )
    def test_metadata_server_is_asked_directly(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setenv("HTTP_PROXY", PROXY)
        monkeypatch.setenv("GCE_METADATA_HOST", "own.test:8")

        assert proxy_for(url) is None

    @pytest.mark.parametrize(
        "value", ["socks5://u:secret@proxy.test:1080", "http://", "http://u:secret@", "http://u:secret@proxy.test:many"]
    )
    def test_that_name_no_proxy_stop_the_start_without_showing_a_password(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", value)

        with pytest.raises(BackendConfigurationError, match="HTTPS_PROXY: expected http://HOST:PORT") as raised:
            GoogleHttp(GCS, None)

        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize(
        ("auth", "expected"),
        [
            ("user:password", "user:password"),
            ("user", "user:"),
            ("us%40er:p%3Ass%2Fw%C3%B6rd", "us@er:p:ss/wörd"),
        ],
    )
    def test_may_have_a_user_and_a_password(self, monkeypatch: pytest.MonkeyPatch, auth: str, expected: str) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{auth}@proxy.test:3128")

        proxy = proxy_for(GCS)

        assert proxy is not None
        assert proxy.url == PROXY
        _, _, encoded = proxy.headers["Proxy-Authorization"].partition("Basic ")
        assert base64.b64decode(encoded).decode() == expected


class TestRequests:
    """The request arrives through a proxy as it was sent."""

    @pytest.mark.parametrize("content", [b"MDMP", LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("proxy_has_tls", [False, True])
    def test_over_tls_go_through_a_tunnel(
        self, make_tls: MakeTls, monkeypatch: pytest.MonkeyPatch, content: bytes, proxy_has_tls: bool
    ) -> None:
        tls = make_tls("localhost")
        with Peer(send(OK), tls=tls) as peer, EgressProxy(tls=tls if proxy_has_tls else None) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http{'s' * proxy_has_tls}://localhost:{proxy.port}")
            client = GoogleHttp(peer.url, None)

            assert [post(client, content) for _ in range(3)] == [RESULT] * 3

            assert [line.split()[:2] for line in proxy.request_lines] == [["CONNECT", f"localhost:{peer.port}"]]
            assert [request.body for request in peer.requests] == [content] * 3
            client.close()

    def test_without_tls_are_passed_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Peer(send(OK)) as peer, EgressProxy() as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            client = GoogleHttp(f"http://emulator.test:{peer.port}", None)

            assert [post(client, LARGE) for _ in range(2)] == [RESULT] * 2

            assert proxy.request_lines == [f"POST http://emulator.test:{peer.port}/upload?name=a HTTP/1.1"]
            assert [request.body for request in peer.requests] == [LARGE] * 2
            assert peer.requests[0].headers["host"] == f"emulator.test:{peer.port}"
            client.close()

    def test_are_said_to_go_through_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.test:3128")

        assert GoogleHttp(GCS, None).place == f"{GCS} through the proxy {PROXY}"

    def test_tell_the_proxy_who_sends_them(self, make_tls: MakeTls, monkeypatch: pytest.MonkeyPatch) -> None:
        authorization = f"Basic {base64.b64encode(b'user:secret').decode()}"
        with Peer(send(OK), tls=make_tls("localhost")) as peer, EgressProxy(authorization=authorization) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
            client = GoogleHttp(peer.url, None)

            assert post(client) == RESULT

            # The proxy's secret is not for the server.
            assert "proxy-authorization" not in peer.requests[0].headers
            client.close()

    def test_that_the_proxy_refuses_are_an_error_without_the_password(
        self, make_tls: MakeTls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Peer(send(OK), tls=make_tls("localhost")) as peer, EgressProxy(authorization="Basic other") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
            client = GoogleHttp(peer.url, None)

            with pytest.raises(BackendError, match="407 Proxy Authentication Required") as raised:
                post(client)

            assert "secret" not in str(raised.value)
            assert peer.connections == []
            client.close()

    def test_do_not_go_around_a_proxy_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with EgressProxy() as gone:
            pass
        with Peer(send(OK)) as peer:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{gone.port}")
            client = GoogleHttp(peer.url, None)

            with pytest.raises(BackendError, match="ConnectionRefusedError"):
                post(client)

            assert peer.connections == []
            client.close()

    def test_on_a_tunnel_that_was_closed_while_it_was_idle_open_another(
        self, make_tls: MakeTls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Peer(send(OK), send_and_close(b""), send(OK), tls=make_tls("localhost")) as peer, EgressProxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            client = GoogleHttp(peer.url, None)

            assert [post(client) for _ in range(2)] == [RESULT] * 2

            assert len(proxy.request_lines) == 2
            client.close()

    @pytest.mark.parametrize("exception", ["", "localhost"])
    def test_for_tokens_have_the_proxy_of_their_own_host(
        self, make_tls: MakeTls, monkeypatch: pytest.MonkeyPatch, exception: str
    ) -> None:
        token = json.dumps({"access_token": "real", "expires_in": 3600}).encode()
        tls = make_tls("localhost")
        with (
            Peer(send(answer(token)), tls=tls) as server,
            Peer(send(OK), tls=tls) as peer,
            EgressProxy() as proxy,
        ):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", exception and f"{exception}:{peer.port}")
            credentials = google.oauth2.credentials.Credentials(
                None, refresh_token="r", token_uri=f"{server.url}/token", client_id="c", client_secret="s"
            )
            client = GoogleHttp(peer.url, credentials)

            assert post(client) == RESULT

            asked = [int(line.split()[1].rpartition(":")[2]) for line in proxy.request_lines]
            assert asked == ([server.port] if exception else [server.port, peer.port])
            client.close()
