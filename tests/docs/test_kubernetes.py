# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The manifests for Kubernetes are valid, fit together, and fit the collector."""

from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from antenna.config import WebServerConfig, build_config
from tests.support.options import OPTION_NAMES
from tests.support.server import PROJECT_ROOT

MANIFESTS = PROJECT_ROOT / "docker" / "kubernetes"
VIEWER = MANIFESTS / "viewer"


def paths(directory: Path) -> list[Path]:
    """The files that a kustomization applies."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    return [directory / name for name in kustomization["resources"]]


@cache
def resources(directory: Path = MANIFESTS) -> list[dict[str, Any]]:
    return [resource for path in paths(directory) for resource in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def the(kind: str, directory: Path = MANIFESTS) -> dict[str, Any]:
    (resource,) = (resource for resource in resources(directory) if resource["kind"] == kind)
    return resource


def the_service() -> dict[str, Any]:
    """The service that clients use."""
    (service,) = (
        resource
        for resource in resources()
        if resource["kind"] == "Service" and resource["spec"].get("clusterIP") != "None"
    )
    return service


POD: dict[str, Any] = the("StatefulSet")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.parametrize("directory", [MANIFESTS, VIEWER])
def test_every_file_is_applied(directory: Path) -> None:
    assert {*paths(directory), directory / "kustomization.yaml"} == set(directory.glob("*.yaml"))


def test_an_apply_leaves_the_secret_alone() -> None:
    assert "Secret" not in {resource["kind"] for resource in resources()}
    assert [source["secretRef"] for source in CONTAINER["envFrom"] if "secretRef" in source] == [
        {"name": "antenna", "optional": True}
    ]


def test_the_ingress_leads_crash_reports_to_the_service() -> None:
    ingress = yaml.safe_load((MANIFESTS / "examples" / "ingress.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(ingress, kubernetes_validate.latest_version(), strict=True)
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]

    assert (path["path"], path["pathType"]) == ("/submit", "Exact")
    assert path["backend"]["service"] == {
        "name": the_service()["metadata"]["name"],
        "port": {"name": the_service()["spec"]["ports"][0]["name"]},
    }


# The oldest one has the sleep before SIGTERM.
@pytest.mark.parametrize("version", ["1.32", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "resource",
    [*resources(), *resources(VIEWER)],
    ids=lambda resource: f"{resource['kind']}-{resource['metadata']['name']}",
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
    assert {*the("ConfigMap")["data"], *(item["name"] for item in CONTAINER["env"])} <= OPTION_NAMES


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


def test_the_viewer_fits_its_image_and_the_collector() -> None:
    dockerfile = (PROJECT_ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    template = the("Deployment", VIEWER)["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    labels = template["metadata"]["labels"].items()

    assert the("Service", VIEWER)["spec"]["selector"].items() <= labels
    assert (
        not the("Service", VIEWER)["spec"]["selector"].items()
        <= the("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    )
    assert container["envFrom"][0]["configMapRef"]["name"] == the("ConfigMap")["metadata"]["name"]
    assert f"VIEWER_PORT={container['ports'][0]['containerPort']} " in dockerfile
    assert f"VIEWER_DATA_DIR={container['volumeMounts'][0]['mountPath']}/" in dockerfile
    assert (
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
        == the("PersistentVolumeClaim", VIEWER)["metadata"]["name"]
    )
    assert pod["serviceAccountName"] == the("ServiceAccount", VIEWER)["metadata"]["name"]
