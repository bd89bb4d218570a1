# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prometheus and promtool: found on this machine, or taken from Debian's packages, and run for the tests.

``python -m tests.support.prometheus`` unpacks them into the virtual environment if they are not installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.emulators import EmulatorMissingError
from tests.support.programs import Program, free_port
from tests.support.server import PROJECT_ROOT

ALERTS = PROJECT_ROOT / "docker" / "prometheus" / "alerts.yml"

# The directory in which the package is unpacked. It is not installed, because that would start a server.
_UNPACKED = Path(sys.prefix) / "prometheus"

MISSING = """\
Prometheus is missing, which tests of alerts and of the dashboard run: the programs prometheus and promtool. On Debian
    .venv/bin/python -m tests.support.prometheus
unpacks the package "prometheus" into .venv; it needs the lists of packages (apt-get update). Elsewhere, put both
programs on PATH."""


def find(program: str) -> Path:
    """Return the path of ``prometheus`` or ``promtool``. Raises EmulatorMissingError."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_UNPACKED / 'usr' / 'bin'}")
    if found is None:
        raise EmulatorMissingError(MISSING)
    return Path(found)


def fetch() -> None:
    """Unpack Debian's package into the virtual environment. Raises EmulatorMissingError."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise EmulatorMissingError(MISSING)
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["apt-get", "download", "-qq", "prometheus"], cwd=directory, check=False)
        packages = list(Path(directory).glob("prometheus_*.deb"))
        if not packages:
            raise EmulatorMissingError(MISSING)
        subprocess.run(["dpkg-deb", "--extract", str(packages[0]), str(_UNPACKED)], check=True)


class Prometheus(Program):
    """A running Prometheus."""

    def __init__(self, configuration: dict[str, Any], directory: Path) -> None:
        """Start Prometheus with its data and its log in ``directory``. This does not wait until it is ready."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        super().__init__(
            [
                str(find("prometheus")),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--query.lookback-delta=15s",
            ],
            log_file=directory / "prometheus.log",
            directory=directory,
        )

    def is_ready(self) -> bool:
        """Whether Prometheus answers queries."""
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression yields now. Raises AssertionError if the expression is not valid."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of each alert that fires, by its name."""
        return {series["metric"]["alertname"]: series["metric"] for series in self.query('ALERTS{alertstate="firing"}')}


@dataclass(frozen=True)
class Scenario:
    """Series that are all there is, and the minutes after which a test asks what they do."""

    series: Mapping[str, str]
    """Values in promtool's notation, by name and labels."""
    minutes: Sequence[int]

    def as_test(self, step: str, number: str) -> dict[str, Any]:
        """Return the test in promtool's format. ``number`` is among the labels of the alerts that fire."""
        alerts = 'group by (alertname) (ALERTS{alertstate="firing"})'
        query = f'label_replace({alerts}, "scenario", "{number}", "", "")'
        return {
            "interval": step,
            "input_series": [{"series": name, "values": values} for name, values in self.series.items()],
            "promql_expr_test": [{"expr": query, "eval_time": f"{minute}m"} for minute in self.minutes],
        }


class Promtool:
    """Tests rules of Prometheus on series that a test writes."""

    def __init__(self) -> None:
        """Raises EmulatorMissingError."""
        self._program = find("promtool")

    def check(self, *arguments: object, given: bytes = b"") -> None:
        """Run ``promtool check ...``. Raises AssertionError with its output if it fails."""
        self._run("check", *arguments, given=given)

    def firing(
        self, directory: Path, scenarios: Sequence[Scenario], *, step: str = "15s", every: str = "1m"
    ) -> list[list[set[str]]]:
        """Return which alerts fire in each scenario after each of its ``minutes``.

        ``every``: the time after which the rules are evaluated again. The ``minutes`` have to be multiples of it.

        One run for all of them takes less time than one for each. promtool only says whether what it is told to expect
        is so; it is told to expect nothing, and says what there is instead.
        """
        tests = [scenario.as_test(step, str(n)) for n, scenario in enumerate(scenarios)]
        file = directory / "test.yml"
        content = {"rule_files": [str(ALERTS)], "evaluation_interval": every, "tests": tests}
        file.write_text(json.dumps(content), encoding="utf-8")
        said = self._run("test", "rules", file, may_fail=True)
        found = [[set[str]() for _ in scenario.minutes] for scenario in scenarios]
        fired = [
            (int(n), _minutes(time), alert)
            for time, what in re.findall(r"time: (\w+),\s+exp: nil\s+got: (.*)", said)
            for alert, n in re.findall(r'alertname="(\w+)", scenario="(\d+)"', what)
        ]
        assert "SUCCESS" in said or fired, said
        for n, minute, alert in fired:
            found[n][scenarios[n].minutes.index(minute)].add(alert)
        return found

    def _run(self, *arguments: object, given: bytes = b"", may_fail: bool = False) -> str:
        command = [str(self._program), *map(str, arguments)]
        # Go collects garbage less often, which takes time off a short run.
        environment = {"GOGC": "400", **os.environ}
        ended = subprocess.run(command, input=given, capture_output=True, check=False, env=environment)
        said = (ended.stdout + ended.stderr).decode()
        assert may_fail or ended.returncode == 0, said
        return said


def _minutes(time: str) -> int:
    """Read a duration in promtool's notation. ``1h10m`` is 70."""
    units = {"d": 24 * 60, "h": 60, "m": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhm])", time))


@contextmanager
def found_promtool() -> Iterator[Promtool]:
    """Yield promtool. Raises EmulatorMissingError."""
    yield Promtool()


@contextmanager
def running_prometheus(directory: Path, target: str, rules: Path | None = None) -> Iterator[Prometheus]:
    """Start a Prometheus that scrapes a collector at ``target`` every second, with the alerts of ``rules``.

    Raises EmulatorMissingError.
    """
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules or ALERTS)],
        "scrape_configs": [{"job_name": "antenna", "static_configs": [{"targets": [target]}]}],
    }
    prometheus = Prometheus(configuration, directory)
    try:
        prometheus.wait_until(prometheus.is_ready)
        yield prometheus
    finally:
        prometheus.kill()


def main() -> int:
    """Unpack the programs that are missing, and print where they are. Returns the exit code."""
    try:
        try:
            find("promtool")
        except EmulatorMissingError:
            fetch()
        print(find("prometheus"), find("promtool"))
    except EmulatorMissingError as error:
        print(f"\n{error}\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
