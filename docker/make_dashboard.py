# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the dashboard for Grafana, collector.json, from the list of its panels, panels.yml beside it."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).parent / "images" / "grafana"
DASHBOARD = DIRECTORY / "collector.json"

_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
# Grafana has 24 columns. Three panels stand side by side.
_WIDTH = 8
_HEIGHT = 7
_COLUMNS = 24


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    rows = yaml.safe_load((DIRECTORY / "panels.yml").read_text(encoding="utf-8"))
    return {
        "uid": "antenna-collector",
        "title": "Antenna: collector",
        "tags": ["antenna"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable("job", "up", includes_all=False), _variable("instance", 'up{job="$job"}')]},
        "panels": list(_panels(rows)),
    }


def _variable(name: str, series: str, *, includes_all: bool = True) -> dict[str, Any]:
    """Return a variable that the reader chooses from the values of a label."""
    query = f"label_values({series}, {name})"
    chosen = {"text": "All", "value": "$__all"} if includes_all else {"text": "antenna", "value": "antenna"}
    return {
        "type": "query",
        "name": name,
        "label": name,
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": includes_all,
        "multi": includes_all,
        "current": chosen,
        "hide": 0,
    }


def _panels(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows and their panels, from the top to the bottom."""
    numbers, top = count(1), 0
    for row in rows:
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row["row"],
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        top += 1
        for place, panel in enumerate(row["panels"]):
            line, column = divmod(place * _WIDTH, _COLUMNS)
            grid = {"x": column, "y": top + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield {"id": next(numbers), "gridPos": grid, **_panel(panel)}
        top += -(-len(row["panels"]) * _WIDTH // _COLUMNS) * _HEIGHT


def _panel(panel: dict[str, Any]) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    queries = panel["queries"].items()
    defaults: dict[str, Any] = {"unit": panel.get("unit", "short"), "min": 0}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "spanNulls": True}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "type": kind,
        "title": panel["title"],
        "description": panel["about"],
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(queries)
        ],
    }


def main() -> None:
    """Write the dashboard."""
    DASHBOARD.write_text(json.dumps(dashboard(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
