# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash in the form in which throttle rules see it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from antenna.crash import identify, to_text
from antenna.json_size import count_built
from antenna.limits import MAX_READ_JSON_ITEMS, MAX_READ_JSON_SIZE

METADATA = "metadata"
"""The key under which rules find the metadata of the request, such as ``user_agent``."""


_TEXT_ONLY = frozenset([str])


class CrashView(dict[str, Any]):
    """The annotations of a crash as text, although they may have had other JSON types, and ``metadata``.

    Rules cannot change it, because the annotations are saved as the client sent them.
    """

    __slots__ = ("_documents", "_documents_items", "_documents_size", "_identity", "raw")

    def __init__(self, raw: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
        """``raw`` has the annotations as they came.

        It may have ``metadata``, which the argument replaces if it is given.
        """
        if _TEXT_ONLY.issuperset(map(type, raw.values())):
            super().__init__(raw)
        else:
            super().__init__(_texts(raw))
        if metadata is not None:
            super().__setitem__(METADATA, metadata)
        self.raw = raw
        self._documents: dict[str, Any] = {}
        self._documents_size = self._documents_items = 0
        self._identity: dict[str, str] = {}

    def identify(self, what: str) -> str:
        """Return the product, version and so on, like ``antenna.crash.identify``."""
        found = self._identity.get(what)
        if found is None:
            # This asks ``raw``, because in the view a null has become the text "null".
            found = self._identity[what] = identify(self.raw, what)
        return found

    def document(self, name: str) -> Any:
        """Decode the JSON in an annotation's text, once. Returns None if the text is not JSON.

        All JSON that rules decode in one crash is limited together. It is counted before it is decoded.
        """
        if name not in self._documents:
            self._documents[name] = self._decode(self.get(name, ""))
        return self._documents[name]

    def _decode(self, text: str) -> Any:
        self._documents_size += len(text)
        if self._documents_size > MAX_READ_JSON_SIZE:
            return None
        self._documents_items += count_built(text.encode("utf-8", "replace"), MAX_READ_JSON_ITEMS)
        if self._documents_items > MAX_READ_JSON_ITEMS:
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("rules cannot change a crash")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def _texts(raw: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the name and the text of each annotation.

    The values that are not strings may have ``MAX_READ_JSON_SIZE`` characters of text together. The text of any further
    one is empty.
    """
    left = MAX_READ_JSON_SIZE
    for name, value in raw.items():
        # The collector's metadata is a dict. An annotation with the same name has already been replaced by it.
        if isinstance(value, str) or (name == METADATA and isinstance(value, dict)):
            yield name, value
        else:
            text = to_text(value) if left > 0 else ""
            left -= len(text)
            yield name, text


def view(crash: Mapping[str, Any]) -> CrashView:
    """Return a crash in the form in which rules see it. If it has that form already, return it unchanged."""
    return crash if isinstance(crash, CrashView) else CrashView(crash)


def product_of(crash: Mapping[str, Any]) -> str:
    """Return the product of a crash: ``ProductName``, else ``_productName``, else ``prod``."""
    return view(crash).identify("product")


def safe_get(crash: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return an annotation of a crash as text, or ``default`` if it is absent."""
    return to_text(crash.get(key, default))
