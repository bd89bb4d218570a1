# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds the product, version and so on of a crash, and returns values of annotations as text.

Different clients use different names: Firefox sends ``ProductName``, Electron ``_productName``, Crashpad and Breakpad
``prod``. Product lists, rules, tools and metrics use these functions. Stored crashes keep the names that their clients
used.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from antenna.json_size import holds_more
from antenna.limits import MAX_READ_JSON_ITEMS, MAX_READ_JSON_SIZE

IDENTITY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "product": ("ProductName", "_productName", "prod"),
        "version": ("Version", "_version", "ver"),
        "channel": ("ReleaseChannel", "channel"),
        "process_type": ("ProcessType", "ptype", "process_type"),
        "platform": ("plat", "platform"),
    }
)
"""For each fact about a crash, the annotations that may state it. The first one that has a value counts."""


def identify(annotations: Mapping[str, Any], what: str) -> str:
    """Return the product, version or another fact (a key of ``IDENTITY``) of a crash. If it is not stated, return "".

    An annotation that is empty or null counts as absent.
    """
    for name in IDENTITY[what]:
        value = annotations.get(name)
        if value is not None and value != "":
            return to_text(value)
    return ""


def product_of(annotations: Mapping[str, Any]) -> str:
    """Return the product that crashed, or "" if the crash does not state it."""
    return identify(annotations, "product")


def version_of(annotations: Mapping[str, Any]) -> str:
    """Return the version of the product, or "" if the crash does not state it."""
    return identify(annotations, "version")


def to_text(value: object) -> str:
    """Return the value of an annotation as text. A value that is not a string becomes compact JSON.

    Returns "" if the value cannot be written as JSON (nested too deeply, thousands of digits). Also returns "" if it is
    larger than ``MAX_READ_JSON_SIZE`` and ``MAX_READ_JSON_ITEMS`` in ``antenna.limits`` allow, because making the text
    would take as much time and memory as decoding the value has taken.
    """
    if isinstance(value, str):
        return value
    if holds_more(value, MAX_READ_JSON_SIZE, MAX_READ_JSON_ITEMS):
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""
