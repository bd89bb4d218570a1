# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What a crash says about itself, whatever its client calls it, and annotation values as text.

Firefox sends ``ProductName``, Electron ``_productName``, Crashpad and Breakpad ``prod``. Product lists, rules, tools
and metrics ask here. What is stored keeps the names that the client used.
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
"""For each thing that a crash says about itself, the annotations that say it. The first one that has a value counts."""


def identify(annotations: Mapping[str, Any], what: str) -> str:
    """Return the product, version and so on (a key of ``IDENTITY``) of a crash, empty where it does not say.

    An annotation that is empty or null counts as absent.
    """
    for name in IDENTITY[what]:
        value = annotations.get(name)
        if value is not None and value != "":
            return to_text(value)
    return ""


def product_of(annotations: Mapping[str, Any]) -> str:
    """Return the product that crashed, empty where the crash does not say."""
    return identify(annotations, "product")


def version_of(annotations: Mapping[str, Any]) -> str:
    """Return the version of the product, empty where the crash does not say."""
    return identify(annotations, "version")


def to_text(value: object) -> str:
    """Return an annotation's value as text: as compact JSON, if it came as anything but a string.

    Returns an empty text for what has no JSON text (nested too deep, thousands of digits), or more of it than anybody
    looks into (see ``antenna.limits``): as text, a large value would take its time and memory once more.
    """
    if isinstance(value, str):
        return value
    if holds_more(value, MAX_READ_JSON_SIZE, MAX_READ_JSON_ITEMS):
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""
