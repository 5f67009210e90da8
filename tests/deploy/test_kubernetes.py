"""deploy/kubernetes, checked without a cluster: what it says is understood by the programs that it starts."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.envoy import SHIPPED, EnvoyProcess, for_loopback, free_ports
from cloud_target import cli
from cloud_target.server.configuration import configure
from cloud_target.server.health import LIVENESS
from cloud_target.server.options import read_settings
from cloud_target.server.server import SURELY_ENDED
from cloud_target.telemetry.catalogue import METRICS
from tests.certificates import Authority
from tests.deploy.envoys import needs_envoy
from tests.project.tree import ROOT

FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


DEPLOYMENT, SERVICE = documents(FOLDER / "base/target.yaml")
PROXY, OUTSIDE, TARGETS = documents(FOLDER / "replicas/proxy.yaml")
SCALER, *BUDGETS = documents(FOLDER / "replicas/scaling.yaml")
[PATCH] = documents(FOLDER / "replicas/behind-proxy.yaml")
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
[CLOUD] = POD["containers"]
[ENVOY] = PROXY["spec"]["template"]["spec"]["containers"]
PORTS = {port["name"]: port["containerPort"] for port in CLOUD["ports"]}
MORE = PATCH["spec"]["template"]["spec"]["containers"][0]["env"]


def probed(name: str) -> argparse.Namespace:
    """What the health check is told by a probe."""
    python, script, *words = CLOUD[name]["exec"]["command"]
    assert (python, Path(script).name) == ("python", "healthcheck.py")
    options: argparse.Namespace = runpy.run_path(str(ROOT / "deploy/healthcheck.py"))["_parse"](words)
    return options


def waited(container: dict[str, Any], pattern: str) -> int:
    """Seconds that a container's preStop takes."""
    found = re.search(pattern, " ".join(container["lifecycle"]["preStop"]["exec"]["command"]))
    assert found
    return int(found[1])


@pytest.mark.parametrize("extra", [[], MORE], ids=["base", "replicas"])
def test_the_service_reads_its_environment(extra: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [*CLOUD["env"], *extra]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = read_settings(configure(cli.parse_args(CLOUD["args"])))
    assert (settings.host, settings.port, settings.telemetry.metrics_port) == (
        "0.0.0.0",
        PORTS["grpc"],
        PORTS["metrics"],
    )
    mounted = {mount["mountPath"] for mount in CLOUD["volumeMounts"]}
    assert {str(path.parent) for path in (settings.access.tls_cert, settings.access.tokens) if path} <= mounted
    preparing = waited(CLOUD, r"sleep\((\d+)\)")
    assert POD["terminationGracePeriodSeconds"] > preparing + settings.drain_seconds + SURELY_ENDED
    assert POD["enableServiceLinks"] is False
    if extra:
        assert (settings.connections.streams, settings.connections.silence) == (1000, 0)


def test_liveness_and_readiness_are_two_questions() -> None:
    assert probed("readinessProbe").service == ""
    assert probed("livenessProbe").service == probed("startupProbe").service == LIVENESS
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert probed(name).address == f"127.0.0.1:{PORTS['grpc']}"
        assert probed(name).ca


def test_a_target_goes_out_of_service_before_it_is_ended() -> None:
    """Long enough for Envoy's health checks to see it."""
    *_, code = CLOUD["lifecycle"]["preStop"]["exec"]["command"]
    compile(code, "preStop", "exec")
    assert "SIGUSR1" in code
    whole = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    [check] = whole["static_resources"]["clusters"][0]["health_checks"]
    assert waited(CLOUD, r"sleep\((\d+)\)") > int(check["interval"][:-1]) * check["unhealthy_threshold"]


def test_the_services_find_their_pods() -> None:
    for service, deployment in ((SERVICE, DEPLOYMENT), (TARGETS, DEPLOYMENT), (OUTSIDE, PROXY)):
        assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["grpc"]
    for deployment in (DEPLOYMENT, PROXY):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
    selected = [budget["spec"]["selector"]["matchLabels"] for budget in BUDGETS]
    assert selected == [each["spec"]["selector"]["matchLabels"] for each in (DEPLOYMENT, PROXY)]


def test_envoy_finds_the_targets_its_files_and_its_ports() -> None:
    whole = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    [places] = whole["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    [place] = (each["endpoint"]["address"]["socket_address"] for each in places["lb_endpoints"])
    assert place == {"address": TARGETS["metadata"]["name"], "port_value": PORTS["grpc"]}
    assert TARGETS["spec"]["clusterIP"] == "None"
    listening = {
        listener["address"]["socket_address"]["port_value"] for listener in whole["static_resources"]["listeners"]
    }
    assert listening == {port["containerPort"] for port in ENVOY["ports"]}
    volumes = {volume["name"]: volume for volume in PROXY["spec"]["template"]["spec"]["volumes"]}
    given = {f"/credentials/{item['path']}" for item in volumes["credentials"]["secret"]["items"]}
    assert set(re.findall(r"/credentials/[\w.]+", yaml.safe_dump(whole))) == given
    generated = yaml.safe_load((ROOT / "deploy/envoy/kustomization.yaml").read_text(encoding="utf-8"))
    [generator] = generated["configMapGenerator"]
    assert volumes["configuration"]["configMap"]["name"] == generator["name"]
    assert f"/etc/envoy/{generator['files'][0]}" in ENVOY["args"]


def test_the_proxy_drains_for_as_long_as_its_end_is_put_off() -> None:
    drain = int(ENVOY["args"][ENVOY["args"].index("--drain-time-s") + 1])
    assert drain < waited(ENVOY, r"sleep (\d+)") < PROXY["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_it_scales_by_a_metric_that_there_is() -> None:
    [metric] = SCALER["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in {each.series for each in METRICS.values()}
    assert SCALER["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"] == PATCH["metadata"]["name"]
    assert "replicas" not in DEPLOYMENT["spec"], "who applies it anew would undo what the scaler did"


@pytest.mark.parametrize("deployment", [DEPLOYMENT, PROXY], ids=["target", "envoy"])
def test_nothing_runs_as_root_or_writes_or_grows_without_end(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    context = container["securityContext"]
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]


def test_all_that_a_kustomization_names_is_there_and_all_that_is_there_is_named() -> None:
    named = set()
    for file in FOLDER.rglob("kustomization.yaml"):
        [kustomization] = documents(file)
        patches = [patch["path"] for patch in kustomization.get("patches", [])]
        named |= {(file.parent / name).resolve() for name in [*kustomization["resources"], *patches]}
    assert all(path.exists() for path in named)
    assert {path for path in named if path.is_file()} == set(FILES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", [path for path in FILES if path.name != "behind-proxy.yaml"], ids=lambda path: path.stem
)
def test_the_schemas_of_kubernetes_take_it(file: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="install the extra `deploy`")
    for document in documents(file):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["base", "replicas"])
def test_kustomize_puts_it_together(overlay: str, tmp_path: Path) -> None:
    """No cluster is asked: `kubectl kustomize` only reads files."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    run = subprocess.run(
        ["kubectl", "kustomize", FOLDER / overlay],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"HOME": str(tmp_path), "KUBECONFIG": os.devnull},
    )
    assert run.returncode == 0, run.stderr
    made = list(yaml.safe_load_all(run.stdout))
    [target] = (each for each in made if (each["kind"], each["metadata"]["name"]) == ("Deployment", "tandem-cloud"))
    [container] = target["spec"]["template"]["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)) == len(CLOUD["env"]) + (len(MORE) if overlay == "replicas" else 0)
    if overlay == "replicas":
        [configuration] = (each for each in made if each["kind"] == "ConfigMap")
        assert configuration["data"]["envoy.yaml"] == SHIPPED.read_text(encoding="utf-8")
        kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="install the extra `deploy`")
        for document in made:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@needs_envoy
@pytest.mark.slow
def test_what_envoy_does_before_its_end_drains_it(tmp_path: Path) -> None:
    """Kubernetes runs those words; here the sleep is left out, and the admin's port is another."""
    authority = Authority(tmp_path)
    authority.issue("server", "cloud", "localhost")
    ports = free_ports(3)
    bash, option, script = ENVOY["lifecycle"]["preStop"]["exec"]["command"]
    script = script.replace("127.0.0.1/9901", f"127.0.0.1/{ports[2]}").replace("sleep 15", "head -n 1 <&3")
    with EnvoyProcess(tmp_path, for_loopback(tmp_path, ports, free_ports(1))):
        run = subprocess.run([bash, option, script], capture_output=True, text=True, check=True, timeout=20)
        assert run.stdout.strip() == "HTTP/1.1 200 OK"
