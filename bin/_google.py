# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Google's clients for Pub/Sub, with the application default credentials, or for its emulator; and Google's errors.

The clients for Pub/Sub use JSON over HTTP and not gRPC, so that they go through the same proxies as all other requests.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from bin import _common, _python  # isort: split

_python.require_packages()

import google.auth  # noqa: E402 - needs the packages
import requests  # noqa: E402 - needs the packages
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError  # noqa: E402 - needs the packages
from google.api_core.retry import Retry, if_transient_error  # noqa: E402 - needs the packages
from google.auth.credentials import AnonymousCredentials  # noqa: E402 - needs the packages
from google.auth.exceptions import GoogleAuthError  # noqa: E402 - needs the packages

if TYPE_CHECKING:
    from google.pubsub_v1 import PublisherClient, SubscriberClient

_PUBSUB_SCOPES = ("https://www.googleapis.com/auth/pubsub",)

#: Options of calls. Since a person waits, they limit the retries. By default, the clients retry for minutes, or not at
#: all.
PUBSUB_OPTIONS: dict[str, Any] = {"timeout": 60.0, "retry": Retry(predicate=if_transient_error, timeout=5.0)}

PubSubClient = TypeVar("PubSubClient", "PublisherClient", "SubscriberClient")


def pubsub_client(kind: type[PubSubClient]) -> PubSubClient:
    """Return a client for topics or for subscriptions of Pub/Sub. Raises ``GoogleAuthError``."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        credentials, _ = google.auth.default(scopes=_PUBSUB_SCOPES)
        return kind(credentials=credentials, transport="rest")
    # By default, the client would use gRPC for an emulator.
    transport = kind.get_transport_class("rest")
    return kind(transport=transport(host=with_scheme(emulator), credentials=AnonymousCredentials()))


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of the clients into ``ToolError``. It is for ``with`` blocks, and a decorator as well."""
    try:
        yield
    except BrokenPipeError:  # of stdout
        raise
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, OSError) as error:
        raise _common.ToolError(_common.printable(_reason(error))) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, RetryError) and error.cause is not None:
        return _reason(error.cause)
    if isinstance(error, GoogleAPICallError) and error.code:
        return f"status {int(error.code)}: {error.message}"
    if isinstance(error, requests.ConnectionError) and error.request is not None and error.request.url is not None:
        server = "/".join(error.request.url.split("/", 3)[:3])
        cause = str(error).rpartition(": ")[2].strip("\"')")
        return f"cannot reach {server}: {cause}"
    return str(error) or type(error).__name__


def with_scheme(emulator: str) -> str:
    """Return the URL of an emulator."""
    return (emulator if "://" in emulator else f"http://{emulator}").rstrip("/")
