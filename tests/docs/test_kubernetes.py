# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The manifests for Kubernetes are valid, fit together, and fit the collector."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from antenna.config import WebServerConfig, build_config
from tests.support.options import OPTION_NAMES
from tests.support.server import PROJECT_ROOT

MANIFESTS = PROJECT_ROOT / "docker" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text(encoding="utf-8"))
PATHS = [MANIFESTS / name for name in KUSTOMIZATION["resources"]]


def resources() -> list[dict[str, Any]]:
    return [resource for path in PATHS for resource in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def the(kind: str) -> dict[str, Any]:
    (resource,) = (resource for resource in resources() if resource["kind"] == kind)
    return resource


def the_service() -> dict[str, Any]:
    """The service that clients come to."""
    (service,) = (
        resource
        for resource in resources()
        if resource["kind"] == "Service" and resource["spec"].get("clusterIP") != "None"
    )
    return service


POD: dict[str, Any] = the("StatefulSet")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_every_file_is_applied() -> None:
    assert {*PATHS, MANIFESTS / "kustomization.yaml"} == set(MANIFESTS.iterdir())


# The oldest one has the sleep before SIGTERM.
@pytest.mark.parametrize("version", ["1.32", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "resource", resources(), ids=lambda resource: f"{resource['kind']}-{resource['metadata']['name']}"
)
def test_resource_is_valid(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_selectors_match_the_pods() -> None:
    labels = the("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    services = [resource for resource in resources() if resource["kind"] == "Service"]

    assert the("StatefulSet")["spec"]["selector"]["matchLabels"].items() <= labels
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert all(service["spec"]["selector"].items() <= labels for service in services)
    assert the("StatefulSet")["spec"]["serviceName"] in {service["metadata"]["name"] for service in services}
    assert the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == the("StatefulSet")["metadata"]["name"]
    assert POD["serviceAccountName"] == the("ServiceAccount")["metadata"]["name"]


def test_every_variable_is_an_option() -> None:
    variables = {*the("ConfigMap")["data"], *the("Secret")["stringData"], *(item["name"] for item in CONTAINER["env"])}
    assert variables <= OPTION_NAMES


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/__lbheartbeat__"), ("livenessProbe", "/__lbheartbeat__"), ("readinessProbe", "/__ready__")],
)
def test_no_probe_asks_the_backends_or_waits_for_connections_of_clients(probe: str, path: str) -> None:
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": "admin"}
    ports = {port["name"]: str(port["containerPort"]) for port in CONTAINER["ports"]}
    assert {"name": "ADMIN_PORT", "value": ports["admin"]} in CONTAINER["env"]
    assert all(port["targetPort"] != "admin" for port in the_service()["spec"]["ports"])


def test_a_pod_has_time_to_finish() -> None:
    web_server = WebServerConfig(build_config(the("ConfigMap")["data"]))
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > pause + web_server.graceful_timeout


def test_the_spool_is_on_a_volume_that_stays() -> None:
    dockerfile = (PROJECT_ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}

    assert f"CRASHMOVER_SPOOL_DIR={mounts['spool']}\n" in dockerfile
    assert f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}\n" in dockerfile
    assert [claim["metadata"]["name"] for claim in the("StatefulSet")["spec"]["volumeClaimTemplates"]] == ["spool"]
    assert set(the("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
