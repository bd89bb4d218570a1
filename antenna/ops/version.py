# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the version of the deployment from Dockerflow's version.json."""

import json
from pathlib import Path
from typing import Any


def read_version(basedir: Path) -> dict[str, Any]:
    """Return the content of ``version.json`` in ``basedir``. If there is no such file, as in a checkout, return {}.

    https://github.com/mozilla-services/Dockerflow/blob/main/docs/version_object.md
    """
    try:
        version = json.loads((basedir / "version.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return version if isinstance(version, dict) else {}


def release_name(version: dict[str, Any]) -> str:
    """Return the name of this release in Sentry: ``<version>:<commit>``, with the first 8 characters of the commit."""
    return f"{version.get('version') or 'none'}:{str(version.get('commit') or 'none')[:8]}"
