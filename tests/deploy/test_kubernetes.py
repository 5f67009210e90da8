"""deploy/kubernetes.yml, checked without a cluster: what it says is understood by the programs that it starts."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud_target import cli
from cloud_target.server.configuration import configure
from cloud_target.server.health import LIVENESS
from cloud_target.server.options import read_settings
from cloud_target.server.server import SURELY_ENDED
from tests.project.tree import ROOT

DEPLOYMENT, SERVICE = yaml.safe_load_all((ROOT / "deploy/kubernetes.yml").read_text(encoding="utf-8"))
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
[CLOUD] = POD["containers"]
PORTS = {port["name"]: port["containerPort"] for port in CLOUD["ports"]}


def probed(name: str) -> argparse.Namespace:
    """What the health check is told by a probe."""
    python, script, *words = CLOUD[name]["exec"]["command"]
    assert (python, Path(script).name) == ("python", "healthcheck.py")
    options: argparse.Namespace = runpy.run_path(str(ROOT / "deploy/healthcheck.py"))["_parse"](words)
    return options


def test_the_service_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in CLOUD["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = read_settings(configure(cli.parse_args(CLOUD["args"])))
    assert (settings.host, settings.port, settings.telemetry.metrics_port) == (
        "0.0.0.0",
        PORTS["grpc"],
        PORTS["metrics"],
    )
    mounted = {mount["mountPath"] for mount in CLOUD["volumeMounts"]}
    assert {str(path.parent) for path in (settings.access.tls_cert, settings.access.tokens) if path} <= mounted
    assert POD["terminationGracePeriodSeconds"] > settings.drain_seconds + SURELY_ENDED
    assert POD["enableServiceLinks"] is False


def test_liveness_and_readiness_are_two_questions() -> None:
    assert probed("readinessProbe").service == ""
    assert probed("livenessProbe").service == probed("startupProbe").service == LIVENESS
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert probed(name).address == f"127.0.0.1:{PORTS['grpc']}"
        assert probed(name).ca


def test_the_service_finds_its_pods() -> None:
    assert SERVICE["spec"]["selector"].items() <= DEPLOYMENT["spec"]["template"]["metadata"]["labels"].items()
    assert [port["targetPort"] for port in SERVICE["spec"]["ports"]] == ["grpc"]
