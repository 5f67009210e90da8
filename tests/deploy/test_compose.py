"""The compose files and the Dockerfiles, checked without an engine."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cloud_target import cli
from cloud_target.server.configuration import configure
from cloud_target.server.options import read_settings
from tests.project.clis import PARSERS, parses
from tests.project.tree import ROOT, pyproject

SCHEMA = os.environ.get("TANDEM_COMPOSE_SCHEMA")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
GPU = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("tandem-")}
BUILDS = {service["image"]: service["build"] for service in OURS.values() if "build" in service}
EDGES = [name for name in OURS if name.startswith("edge")]
DOCKERFILES = sorted((ROOT / "deploy").glob("*.Dockerfile"))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, rest) of each logical line."""
    text = dockerfile.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in logical]


def last(dockerfile: Path, instruction: str) -> str:
    return [rest for name, rest in instructions(dockerfile) if name == instruction][-1]


def dockerfile_of(service: str) -> Path:
    return ROOT / BUILDS[SERVICES[service]["image"]]["dockerfile"]


@pytest.mark.parametrize("document", [COMPOSE, GPU], ids=["base", "gpu"])
def test_it_is_a_compose_file(document: dict[str, Any]) -> None:
    if not SCHEMA:
        pytest.skip("TANDEM_COMPOSE_SCHEMA names no compose schema")
    # The schema names its draft by an address that jsonschema does not recognise, so say which one it is.
    jsonschema.Draft7Validator(json.loads(Path(SCHEMA).read_text(encoding="utf-8"))).validate(document)


def test_a_target_two_edges_and_their_credentials_are_built_from_this_tree() -> None:
    assert set(OURS) == {"credentials", "cloud", "targets", "edge-1", "edge-2"}
    assert {dockerfile_of(service) for service in OURS} == set(DOCKERFILES)
    assert {build["context"] for build in BUILDS.values()} == {"."}


def test_every_image_is_built_once_and_never_looked_for_elsewhere() -> None:
    """Two services that build one name do so at the same time, and the second finds it taken."""
    builders = [service["image"] for service in OURS.values() if "build" in service]
    assert len(set(builders)) == len(builders) == len(DOCKERFILES)
    for service in OURS.values():
        assert "build" in service or service["pull_policy"] == "never"


@pytest.mark.parametrize("service", ["cloud", "targets", *EDGES])
def test_the_command_line_understands_its_command(service: str) -> None:
    dockerfile = dockerfile_of(service)
    (program,) = json.loads(last(dockerfile, "ENTRYPOINT"))
    assert program in PARSERS
    first, *words = SERVICES[service].get("entrypoint", [program])
    assert first == program
    assert parses(program, [*words, *SERVICES[service]["command"]])
    assert parses(program, json.loads(last(dockerfile, "CMD")))


def test_the_gpu_changes_only_the_device() -> None:
    """Nothing of the base file is said again, so nothing can be forgotten there."""
    assert {name: set(service) for name, service in GPU["services"].items()} == {"cloud": {"entrypoint", "deploy"}}
    base, entrypoint = SERVICES["cloud"], GPU["services"]["cloud"]["entrypoint"]
    assert entrypoint == [*base["entrypoint"], "--device=cuda"]
    assert parses("cloud-target", [*entrypoint[1:], *base["command"]])


def test_everything_starts_once_what_it_needs_is_there() -> None:
    assert SERVICES["cloud"]["depends_on"] == {"credentials": {"condition": "service_completed_successfully"}}
    for edge in EDGES:
        assert SERVICES[edge]["depends_on"] == {"cloud": {"condition": "service_healthy"}}


def test_the_edges_ask_the_target_with_a_token_each_and_remember_apart() -> None:
    port = last(dockerfile_of("cloud"), "EXPOSE").split()[0]
    tenants = SERVICES["credentials"]["command"][3:]
    assert tenants == EDGES
    states = set()
    for edge in EDGES:
        environment = SERVICES[edge]["environment"]
        assert environment["TANDEM_TARGET"] == f"cloud:{port}"
        assert environment["TANDEM_TOKEN_FILE"].endswith(f"/{edge}.token")
        states |= {volume for volume in SERVICES[edge]["volumes"] if volume.endswith(f":{environment['TANDEM_STATE']}")}
    assert len(states) == len(EDGES)


def test_credentials_reach_only_those_who_need_them() -> None:
    """The server's key is never mounted into an edge, and nobody but their maker can write any."""
    for name, service in OURS.items():
        for volume in service.get("volumes", []):
            source, goal, *mode = volume.split(":")
            if "credentials" in source and name != "credentials":
                assert mode == ["ro"], (name, volume)
                assert source == ("edge-credentials" if name in EDGES else "server-credentials")
                assert goal == f"/credentials/{source.split('-')[0]}"


def test_the_health_check_asks_over_tls() -> None:
    *_, address, option, ca = SERVICES["cloud"]["healthcheck"]["test"]
    assert option == "--ca"
    assert address == f"127.0.0.1:{last(dockerfile_of('cloud'), 'EXPOSE').split()[0]}"
    assert ca.startswith("/credentials/server/")


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"], source


def test_images_of_others_are_pinned_and_started_only_on_request() -> None:
    for name in set(SERVICES) - set(OURS):
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])
        assert SERVICES[name]["profiles"] == ["replicas" if name == "envoy" else "observability"]


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_it_copies_what_exists_and_what_docker_may_see(dockerfile: Path) -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    visible = {line[1:].rstrip("/") for line in ignore if line.startswith("!")}
    sources = [s for name, rest in instructions(dockerfile) if name == "COPY" for s in shlex.split(rest)[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.rstrip("/") in visible, f"{source} is hidden by .dockerignore"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_nothing_runs_as_root(dockerfile: Path) -> None:
    assert last(dockerfile, "USER") not in ("root", "0")


@pytest.mark.parametrize("service", ["cloud", "edge"])
def test_each_image_installs_its_own_extra_and_copies_its_own_package(service: str) -> None:
    dockerfile = ROOT / "deploy" / f"{service}.Dockerfile"
    installs = [
        rest for name, rest in instructions(dockerfile) if name == "RUN" and re.search(rf"\.\[{service}[\],]", rest)
    ]
    assert len(installs) == 1
    assert "-c constraints.txt" in installs[0]
    assert service in pyproject()["project"]["optional-dependencies"]
    copied = {shlex.split(rest)[-1] for name, rest in instructions(dockerfile) if name == "COPY"}
    (entry,) = json.loads(last(dockerfile, "ENTRYPOINT"))
    assert {"shared/", f"{entry.replace('-', '_')}/"} <= copied


def test_replicas_are_the_target_with_what_a_proxy_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, targets = SERVICES["cloud"], SERVICES["targets"]
    own = {"build", "image", "ports", "pull_policy", "profiles", "environment", "deploy"}
    assert {key: cloud[key] for key in cloud.keys() - own} == {key: targets[key] for key in targets.keys() - own}
    assert targets["profiles"] == SERVICES["envoy"]["profiles"]
    assert targets["deploy"]["replicas"] == 2
    for name, value in targets["environment"].items():
        monkeypatch.setenv(name, value)
    settings = read_settings(configure(cli.parse_args([*targets["entrypoint"][1:], *targets["command"]])))
    assert (settings.connections.streams, settings.connections.silence) == (1000, 0)


def test_envoy_has_the_file_that_ships_the_name_of_the_targets_and_a_certificate_for_both_sides() -> None:
    envoy = SERVICES["envoy"]
    text = (ROOT / "deploy/envoy/envoy.yaml").read_text(encoding="utf-8")
    assert "./deploy/envoy/envoy.yaml:/etc/envoy/envoy.yaml:ro" in envoy["volumes"]
    assert "/etc/envoy/envoy.yaml" in envoy["command"]
    whole = yaml.safe_load(text)
    [cluster] = (each for each in whole["static_resources"]["clusters"] if each["name"] == "targets")
    assert cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "targets",
        "port_value": 50051,
    }
    hosts = SERVICES["credentials"]["command"][2].split(",")
    assert {cluster["transport_socket"]["typed_config"]["sni"], "envoy"} <= set(hosts)
    listening = {each["address"]["socket_address"]["port_value"] for each in whole["static_resources"]["listeners"]}
    assert {int(port.rpartition(":")[2]) for port in envoy["ports"]} == listening
    assert "server-credentials:/credentials:ro" in envoy["volumes"]
    assert any(f"--uid {envoy['user']} " in rest for _, rest in instructions(dockerfile_of("cloud")))
