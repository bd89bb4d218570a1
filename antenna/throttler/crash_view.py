# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash as throttle rules see it."""

from collections.abc import Mapping
from typing import Any, NoReturn

from antenna.crash import identity

METADATA = "metadata"
"""The key under which rules find what the collector knows of the request, such as ``user_agent``."""


_TEXT_ONLY = frozenset([str])


class CrashView(dict[str, Any]):
    """The annotations of a crash as text, whatever JSON type arrived, and ``metadata``.

    Rules cannot change it: the annotations are saved as the client sent them.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """``raw`` holds the annotations as they came, and ``metadata`` if there is any."""
        if _TEXT_ONLY.issuperset(map(type, raw.values())):
            super().__init__(raw)
        else:
            super().__init__(
                (name, value if isinstance(value, str) else _readable(name, value)) for name, value in raw.items()
            )
        self.raw = raw

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("rules cannot change a crash")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def _readable(name: str, value: object) -> object:
    # The collector's own metadata is a mapping. An annotation of that name has been replaced by it.
    return value if name == METADATA and isinstance(value, dict) else identity.to_text(value)


def identify(crash: Mapping[str, Any], what: str) -> str:
    """Return the product, version and so on of a crash, as ``antenna.crash.identity.identify``."""
    # In a view, null has become the text "null".
    return identity.identify(crash.raw if isinstance(crash, CrashView) else crash, what)


def product_of(crash: Mapping[str, Any]) -> str:
    """Return the product of a crash: ``ProductName``, else ``_productName``, else ``prod``."""
    return identify(crash, "product")


def safe_get(crash: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return an annotation of a crash as text, and ``default`` where it is absent."""
    return identity.to_text(crash.get(key, default))
