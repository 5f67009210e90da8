"""Prometheus and Grafana ask for what the target offers, where it offers it."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from cloud_target.telemetry.catalogue import METRICS
from tests.project.tree import ROOT

DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/tandem.json").read_text(encoding="utf-8"))
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
SUFFIXES = {"Histogram": ("_bucket", "_count", "_sum"), "Counter": ("_total",), "Gauge": ("",)}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def offered() -> set[str]:
    series = {metric.name + suffix for metric in METRICS.values() for suffix in SUFFIXES[metric.kind.__name__]}
    return series | {"tandem_build_info"}


def test_every_series_of_the_dashboard_is_offered() -> None:
    asked = {name for expression in expressions() for name in re.findall(r"tandem_\w+", expression)}
    assert asked - offered() == set()


def test_every_metric_is_on_the_dashboard() -> None:
    text = "\n".join(expressions())
    # How many tokens a pass reads is between the batch size and the time of a pass.
    assert {m.name for m in METRICS.values() if m.name not in text} == {"tandem_pass_tokens"}


def test_labels_are_those_of_the_metrics() -> None:
    labels = {label for metric in METRICS.values() for label in metric.labels}
    for expression in expressions():
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        assert {name.strip() for group in grouped for name in group.split(",")} <= labels | {"le"}, expression


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_data_comes_from_where_it_is() -> None:
    [source] = yaml.safe_load((DEPLOY / "grafana/datasource.yml").read_text(encoding="utf-8"))["datasources"]
    uids = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert uids == {source["uid"]}
    assert source["url"].startswith("http://prometheus:")
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    [address] = job["static_configs"][0]["targets"]
    assert address.split(":")[0] in SERVICES
    assert f"--metrics-port={address.split(':')[1]}" in SERVICES["cloud"]["command"]


def test_prometheus_finds_every_replica_behind_their_name() -> None:
    """As Envoy does: one address each, however many there are."""
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert found["type"] == "A"
    [name] = found["names"]
    assert SERVICES[name]["deploy"]["replicas"] > 1
    assert {"--metrics-host=0.0.0.0", f"--metrics-port={found['port']}"} <= set(SERVICES[name]["command"])
    assert SERVICES[name].get("networks") == SERVICES["prometheus"].get("networks"), "it reaches them"


def test_the_dashboard_is_mounted_where_it_is_looked_for() -> None:
    [provider] = yaml.safe_load((DEPLOY / "grafana/dashboards.yml").read_text(encoding="utf-8"))["providers"]
    goals = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/tandem.json" in goals
