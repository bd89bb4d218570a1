# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The small server of one's own: its compose file, its units and its page fit the collector and one another."""

import configparser
import os
import re
from pathlib import Path

import pytest
import yaml

from antenna.config import WebServerConfig, build_config
from tests.docs.conftest import DOCS
from tests.support.options import OPTION_NAMES
from tests.support.server import PROJECT_ROOT

DIRECTORY = PROJECT_ROOT / "docker" / "self-hosted"
COMPOSE = yaml.safe_load((DIRECTORY / "docker-compose.yml").read_text(encoding="utf-8"))
CADDYFILE = (DIRECTORY / "Caddyfile").read_text(encoding="utf-8")
PAGE = (DOCS / "self_hosted.rst").read_text(encoding="utf-8")
OURS = ("collector", "viewer", "prune")
ENVIRONMENT_FILE = dict(
    line.split("=", 1)
    for line in (DIRECTORY / "systemd" / "antenna.env").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def unit(name: str) -> configparser.RawConfigParser:
    """Return a unit of systemd. Keys that come twice, such as EnvironmentFile, have the last value."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys have capitals
    parser.read_string((DIRECTORY / "systemd" / name).read_text(encoding="utf-8"))
    return parser


UNITS = sorted(path.name for path in (DIRECTORY / "systemd").glob("*.service"))


@pytest.mark.parametrize("environment", [COMPOSE["services"]["collector"]["environment"], ENVIRONMENT_FILE])
def test_variables_are_options(environment: dict[str, str]) -> None:
    assert environment.keys() <= OPTION_NAMES


@pytest.mark.parametrize("service", OURS)
def test_containers_can_write_to_their_volumes_only(service: str) -> None:
    container = COMPOSE["services"][service]
    dockerfile = (PROJECT_ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")

    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]
    # A named volume takes owner and mode of the directory of the image that it is mounted on. Both images come from the
    # stage "account".
    stages = dict(re.findall(r"^FROM \S+(?: AS (\S+))?$(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL))
    made = re.findall(r"install --directory --owner app \D*\d+ (\S+)", stages["account"] + stages[""])
    assert {volume.split(":")[1] for volume in container["volumes"]} <= set(made)


def test_the_collector_has_time_to_finish() -> None:
    graceful = WebServerConfig(build_config({})).graceful_timeout

    assert int(COMPOSE["services"]["collector"]["stop_grace_period"].removesuffix("s")) > graceful
    assert int(unit("antenna.service")["Service"]["TimeoutStopSec"]) > graceful


def test_caddy_leads_to_the_services_and_keeps_health_endpoints_inside() -> None:
    for name, port in (("collector", 8000), ("viewer", 8001)):
        assert name in COMPOSE["services"]
        assert f"reverse_proxy {{${name.upper()}:{name}:{port}}}" in CADDYFILE
        assert f"{name.upper()}=127.0.0.1:{port}" in PAGE
    assert re.search(r"handle /__\* \{\s+respond 404", CADDYFILE)


def test_every_variable_of_the_compose_file_is_on_the_page() -> None:
    text = (DIRECTORY / "docker-compose.yml").read_text(encoding="utf-8")
    for name in re.findall(r"(?<!\$)\$\{(\w+)", text):
        assert name in PAGE


@pytest.mark.parametrize("name", UNITS)
def test_units_start_programs_that_there_are(name: str) -> None:
    service = unit(name)["Service"]
    program = Path(service["ExecStart"].split()[0])

    assert os.access(PROJECT_ROOT / program.relative_to(service["WorkingDirectory"]), os.X_OK)
    assert service["User"] == "antenna"
    assert service["NoNewPrivileges"] == "true"
