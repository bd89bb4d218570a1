# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every panel of the dashboard shows values for a collector that has been under load and had faults."""

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import requests

from tests.monitoring.faults import ASTRAY, CRASH, Instance
from tests.support.fixtures import StartPrometheus, StartServer
from tests.support.intervals import shortened
from tests.support.programs import free_port
from tests.support.prometheus import Prometheus, Promtool
from tests.support.reports import dump, report
from tests.support.server import PROJECT_ROOT, file_system_environment
from tests.system.conftest import (
    start_local_collector,  # noqa: F401 - a fixture
)

MALFORMED = report(dump(b"MDMP"))

# The collector sends gauges every ten seconds otherwise.
INTERVALS = {"antenna.ops.watch._BEAT": 0.2, "antenna.ops.watch._LOOK": 0.3, "antenna.ops.watch._SEND": 0.5}


def load_maker() -> ModuleType:
    """The program that makes the dashboard."""
    path = PROJECT_ROOT / "docker" / "make_dashboard.py"
    spec = importlib.util.spec_from_file_location("make_dashboard", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()
DASHBOARD: dict[str, Any] = json.loads(MAKER.DASHBOARD.read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_dashboard_is_made_from_its_list() -> None:
    assert MAKER.dashboard() == DASHBOARD, "run docker/make_dashboard.py"


def test_panels_do_not_overlap() -> None:
    places = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not places & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        places |= cells


def query_of(expression: str) -> str:
    """Return a query as Grafana sends it, with values for its variables. Its times fit a test of a minute."""
    values = {"$job": "antenna", "$instance": ".*", "$__rate_interval": "20s", "[5m]": "[20s]", "[15m]": "[10s]"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    return expression


def seen(prometheus: Prometheus, missing: set[str]) -> set[str]:
    """Return the queries that yield a number."""
    return {
        query for query in missing if any(series["value"][1] != "NaN" for series in prometheus.query(query_of(query)))
    }


def test_every_query_yields_something_after_load_and_an_outage(
    start_server: StartServer, start_prometheus: StartPrometheus, promtool: Promtool, tmp_path: Path
) -> None:
    admin_port = free_port()
    options = {"ADMIN_PORT": str(admin_port), "GUNICORN_WORKERS": "2", "CRASHMOVER_SPOOL_DIR": str(tmp_path / "spool")}
    server = start_server(file_system_environment(tmp_path) | options | shortened(INTERVALS), wait=False)
    # It looks for collectors five seconds after its start, so it starts while the collector does.
    prometheus = start_prometheus(f"127.0.0.1:{admin_port}")
    server.wait_until_serving()
    instance = Instance(tmp_path, options, server)
    missing = {target["expr"] for panel in PANELS for target in panel["targets"]}
    deadline = time.monotonic() + 75

    def send_until_seen(*names: str) -> None:
        """Send crashes until Prometheus has numbers for all queries in which one of the names is."""
        while any(name in query for query in missing for name in names) and time.monotonic() < deadline:
            instance.send(CRASH, CRASH, MALFORMED, ASTRAY)
            missing.difference_update(seen(prometheus, missing))
            time.sleep(0.4)

    send_until_seen("requests_total", "save_seconds", "publish_seconds")
    instance.break_storage()
    instance.kill_a_worker()
    send_until_seen("spool", "backend", "ended")
    instance.mend_storage()
    send_until_seen("")
    assert missing == set()
    promtool.check("metrics", given=requests.get(f"http://127.0.0.1:{admin_port}/metrics", timeout=10).content)
