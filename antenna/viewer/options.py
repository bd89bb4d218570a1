# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The options of the viewer, and the storage that it shares with the collector."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from antenna.config import (
    ConfigManager,
    ConfigurationError,
    Option,
    bounded,
    describe_options,
    expects,
    one_of,
    parse_int,
    parse_names,
    subclass_of,
    unknown_names,
)
from antenna.ext import CrashStorageBase

#: The name of the index's file in ``VIEWER_DATA_DIR``.
INDEX_FILE = "index.sqlite"

#: The prefix of all options of the viewer.
PREFIX = "VIEWER_"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@expects("a URL that begins with http:// or https://")
def parse_url(text: str) -> str:
    """Check that the text is a URL or empty. Raises ``ValueError`` if it is not."""
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError
    return text


class StorageConfig:
    """The storage in which the collector saves crashes."""

    class Config:
        """An option of the collector. The viewer is started with the environment of the collector."""

        crashstorage_class = Option(parser=subclass_of(CrashStorageBase), doc="Where the collector saves crashes.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        storage_class = config.with_options(self)("crashstorage_class")
        if storage_class.load is CrashStorageBase.load:
            raise ConfigurationError(
                f"CRASHMOVER_CRASHSTORAGE_CLASS: {storage_class.__name__} keeps nothing that could be viewed"
            )
        self.storage: CrashStorageBase = storage_class(config.with_namespace("crashstorage"))


class ViewerConfig:
    """The viewer's options."""

    class Config:
        """Options, in the namespace ``VIEWER``."""

        source = Option(
            default="storage",
            parser=one_of("storage", "pubsub", "queue"),
            doc="The source of new crashes. With storage, the viewer lists the storage. With pubsub, it has a Pub/Sub "
            "subscription of its own. With queue, it takes the entries of the directory queue.",
        )
        subscription = Option(
            default="", doc="With VIEWER_SOURCE=pubsub: the subscription, as projects/PROJECT/subscriptions/NAME."
        )
        listen_address = Option(
            default="127.0.0.1",
            doc="Address to listen on. Any other than 127.0.0.1 needs VIEWER_TOKEN or VIEWER_TRUSTED_HEADER.",
        )
        port = Option(default="8001", parser=bounded(parse_int, "1", "65535"), doc="TCP port to listen on.")
        data_dir = Option(default=".local/viewer", doc="Directory of the index. It is made if it is not there.")
        token = Option(
            default="",
            doc="Token for summaries: stacks, counts and harmless annotations. If it is not set, everybody who reaches "
            "the viewer on 127.0.0.1 sees them.",
        )
        protected_token = Option(
            default="",
            doc="Token for everything: also all annotations, comments, registers and dumps. If it is not set, nobody "
            "sees these, except on 127.0.0.1 if there is no other token.",
        )
        trusted_header = Option(
            default="",
            doc="Header in which a proxy in front of the viewer sends the name of the user that it has logged in, such "
            "as X-Forwarded-User. Requests without it are refused.",
        )
        keep_days = Option(
            default="0",
            parser=bounded(parse_int, "0"),
            doc="Days that a crash stays in the index. If it is 0, crashes stay for ever.",
        )
        scan_days = Option(
            default="7",
            parser=bounded(parse_int, "1"),
            doc="With VIEWER_SOURCE=storage: number of days, today included, whose crashes the viewer lists. Crashes "
            "that waited in a spool come late.",
        )
        annotations = Option(
            default="",
            parser=parse_names,
            doc="Names of annotations, with commas between them, that summaries show and searches find. Many "
            "annotations without anything about a person are shown anyway.",
        )

        webhook = Option(
            default="",
            parser=parse_url,
            doc="URL to which the viewer sends a message for each signature that is new, or that came back after it "
            "was fixed. Keep the URL secret if everybody who knows it can write into your chat.",
        )
        url = Option(
            default="",
            parser=parse_url,
            doc="URL at which people reach the viewer. Messages of the webhook link to it. bin/supersearch.py and "
            "bin/fetch_crashes.py ask the viewer there.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has no namespace. Raises ``ConfigurationError`` for values that do not go together."""
        self.config = config.with_namespace("viewer").with_options(self)
        self.source: str = self.config("source")
        self.subscription: str = self.config("subscription")
        self.listen_address: str = self.config("listen_address")
        self.port: int = self.config("port")
        self.data_dir = Path(self.config("data_dir"))
        self.token: str = self.config("token")
        self.protected_token: str = self.config("protected_token")
        self.trusted_header: str = self.config("trusted_header")
        self.keep_days: int = self.config("keep_days")
        self.scan_days: int = self.config("scan_days")
        self.annotations: frozenset[str] = frozenset(self.config("annotations"))
        self.webhook: str = self.config("webhook")
        self.url: str = self.config("url")
        if not self.is_local and not self.token and not self.trusted_header:
            raise ConfigurationError(
                f"VIEWER_LISTEN_ADDRESS={self.listen_address} lets others see your crashes: set VIEWER_TOKEN, or "
                "VIEWER_TRUSTED_HEADER behind a proxy that logs people in"
            )

    @property
    def is_local(self) -> bool:
        """Whether the viewer can be reached only from this machine."""
        return self.listen_address in _LOOPBACK


def misspelt_names(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that look like options of the viewer but are not, each with the option that may be meant."""
    ours = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    return unknown_names(ours, {option.name for option in describe_options(ViewerConfig, "viewer")}, (PREFIX,))


def symbols_dir(environ: Any, storage: CrashStorageBase) -> Path | None:
    """Return the directory of the symbols: ``SYMBOLS_DIR``, or ``symbols`` beside crashes on a file system."""
    if environ.get("SYMBOLS_DIR"):
        return Path(environ["SYMBOLS_DIR"])
    root = getattr(storage, "root", None)
    return None if root is None else Path(root) / "symbols"
