# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The files for containers, nginx and Grafana agree with the collector's options and metrics."""

import json
import re

import pytest
import yaml

from antenna.config import describe_options, parse_attribute
from antenna.config.parsers import parse_duration
from antenna.crashmover.timeouts import TimeoutsWithoutSpool
from antenna.viewer.options import ViewerConfig
from tests.support.options import OPTION_NAMES, OPTIONS
from tests.support.server import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "docker"
NGINX_CONF = (DOCKER / "images" / "nginx" / "nginx.conf").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILES = {
    str(path.parent.relative_to(DOCKER)): path.read_text(encoding="utf-8") for path in DOCKER.rglob("Dockerfile")
}

# The libraries of Google Cloud's services read these, and so does docker/set_up_emulators.py.
OTHER_VARIABLES = {"STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "PUBSUB_SUBSCRIPTION_NAME"}

# The image itself and Python read these.
IMAGE_VARIABLES = {"PATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "SYMBOLS_DIR"}

VIEWER_OPTION_NAMES = {option.name for option in describe_options(ViewerConfig, "VIEWER")}

# Seconds between the end of a body and its answer, without a spool.
LONGEST_WAIT: float = parse_attribute("antenna.limits.MEMORY_TIMEOUT") + sum(
    parse_duration(option.default or "") for option in describe_options(TimeoutsWithoutSpool, "CRASHMOVER")
)


def default_seconds(option: str) -> float:
    """Return the default of an option that is a duration, in seconds."""
    (default,) = (info.default for info in OPTIONS if info.name == option)
    assert default is not None
    return parse_duration(default)


def nginx_seconds(directive: str, block: str = NGINX_CONF) -> float:
    """Return the seconds of a directive that comes once in ``block``."""
    (value,) = re.findall(rf"^\s*{directive} (\w+);", block, re.MULTILINE)
    return parse_duration(value)


class TestNginx:
    def test_waits_for_a_body_until_the_collector_has_refused_it(self) -> None:
        assert nginx_seconds("client_body_timeout") > default_seconds("BREAKPAD_BODY_TIMEOUT")

    def test_waits_for_an_answer_as_long_as_a_crash_may_take(self) -> None:
        assert nginx_seconds("proxy_read_timeout") > LONGEST_WAIT

    def test_docs_tell_load_balancers_to_wait_for_the_body_too(self) -> None:
        deployment = (PROJECT_ROOT / "docs" / "deployment.rst").read_text(encoding="utf-8")
        fits, cloud_run = re.findall(r"(\d+) s fits the\s+defaults|--timeout (\d+)", deployment)

        for seconds in (fits[0], cloud_run[1]):
            assert float(seconds) > default_seconds("BREAKPAD_BODY_TIMEOUT") + LONGEST_WAIT

    def test_closes_idle_connections_before_the_collector_does(self) -> None:
        upstream = NGINX_CONF.partition("upstream collector {")[2].partition("}")[0]

        assert nginx_seconds("keepalive_timeout", upstream) < default_seconds("GUNICORN_KEEPALIVE")

    def test_leaves_sizes_to_the_collector(self) -> None:
        assert "client_max_body_size 0;" in NGINX_CONF


class TestCompose:
    def test_settings_are_those_of_the_collector(self) -> None:
        lines = (DOCKER / "config" / "local.env").read_text(encoding="utf-8").splitlines()
        names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}

        assert names <= OPTION_NAMES | OTHER_VARIABLES

    def test_the_viewer_is_there_when_asked_for_and_has_options_of_its_own(self) -> None:
        viewer = COMPOSE["services"]["viewer"]

        assert viewer["profiles"] == ["viewer"]
        assert set(viewer["environment"]) <= VIEWER_OPTION_NAMES
        assert viewer["ports"][0].endswith(f":{viewer['environment']['VIEWER_PORT']}")

    def test_collector_has_time_to_finish(self) -> None:
        grace = parse_duration(COMPOSE["services"]["collector"]["stop_grace_period"])

        assert grace > default_seconds("GUNICORN_GRACEFUL_TIMEOUT")

    @pytest.mark.parametrize("name", [name for name, service in COMPOSE["services"].items() if "build" not in service])
    def test_images_of_others_are_pinned(self, name: str) -> None:
        assert re.search(r":v?\d+\.\d+[\w.-]*$", COMPOSE["services"][name]["image"])


class TestImages:
    def test_all_have_the_same_python(self) -> None:
        images = [re.search(r"^FROM (python:\S+)", dockerfile, re.MULTILINE) for dockerfile in DOCKERFILES.values()]

        assert len({image and image[1] for image in images}) == 1

    def test_variables_are_options(self) -> None:
        viewer, collector = re.findall(r"^ENV (.*?)^WORKDIR", DOCKERFILES["."], re.MULTILINE | re.DOTALL)

        for environment, names in ((collector, OPTION_NAMES), (viewer, VIEWER_OPTION_NAMES)):
            variables = set(re.findall(r"^\s*([A-Z_]+)=", environment, re.MULTILINE))
            assert variables <= names | IMAGE_VARIABLES

    def test_the_collector_is_built_by_default(self) -> None:
        stages = re.findall(r"^FROM .*", DOCKERFILES["."], re.MULTILINE)
        last = DOCKERFILES["."].rpartition(stages[-1])[2]

        assert stages[-1] == "FROM account"
        assert 'CMD ["web"]' in last
        assert "viewer" not in last

    def test_emulator_of_pubsub_is_the_same_in_tests(self) -> None:
        assert f"FROM {COMPOSE['services']['pubsub']['image']} AS" in DOCKERFILES["images/test"]


class TestPrometheus:
    SCRAPE = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))

    def test_asks_the_admin_port_of_the_collector(self) -> None:
        (job,) = self.SCRAPE["scrape_configs"]

        port = COMPOSE["services"]["collector"]["environment"]["ADMIN_PORT"]
        assert job["static_configs"] == [{"targets": [f"collector:{port}"]}]
        assert any(published.endswith(f":{port}") for published in COMPOSE["services"]["collector"]["ports"])

    def test_has_the_alerts_and_the_job_that_they_are_for(self) -> None:
        mounted = {volume.split(":")[1] for volume in COMPOSE["services"]["prometheus"]["volumes"]}

        assert {f"/etc/prometheus/{name}" for name in ("prometheus.yml", *self.SCRAPE["rule_files"])} == mounted
        assert [job["job_name"] for job in self.SCRAPE["scrape_configs"]] == ["antenna"]

    def test_is_what_grafana_asks(self) -> None:
        grafana = DOCKER / "images" / "grafana"
        (source,) = yaml.safe_load((grafana / "datasource.yml").read_text(encoding="utf-8"))["datasources"]
        dashboard = json.loads((grafana / "collector.json").read_text(encoding="utf-8"))
        asked = {panel["datasource"]["uid"] for panel in dashboard["panels"] if panel["type"] != "row"}

        assert source["url"] == "http://prometheus:9090"
        assert asked == {source["uid"]}
