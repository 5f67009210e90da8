"""docker-compose.yml and the Dockerfiles, checked without an engine."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.project.clis import PARSERS, parses
from tests.project.tree import ROOT, pyproject

SCHEMA = Path(os.environ.get("TANDEM_COMPOSE_SCHEMA", ROOT / "../shared/data/compose-spec.schema.json"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
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
    return ROOT / SERVICES[service]["build"]["dockerfile"]


def test_it_is_a_compose_file() -> None:
    if not SCHEMA.is_file():
        pytest.skip(f"no compose schema at {SCHEMA.name}; TANDEM_COMPOSE_SCHEMA can name one")
    # The schema names its draft by an address that jsonschema does not recognise, so say which one it is.
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(COMPOSE)


def test_it_has_both_sides_and_each_is_built_from_this_tree() -> None:
    assert set(SERVICES) == {"cloud", "edge"}
    assert {dockerfile_of(service) for service in SERVICES} == set(DOCKERFILES)
    assert {service["build"]["context"] for service in SERVICES.values()} == {"."}


@pytest.mark.parametrize("service", SERVICES)
def test_the_command_line_understands_its_command(service: str) -> None:
    dockerfile = dockerfile_of(service)
    (program,) = json.loads(last(dockerfile, "ENTRYPOINT"))
    assert program in PARSERS
    assert parses(program, SERVICES[service]["command"])
    assert parses(program, json.loads(last(dockerfile, "CMD")))


def test_the_edge_starts_once_the_target_is_healthy_and_asks_that_one() -> None:
    assert SERVICES["edge"]["depends_on"] == {"cloud": {"condition": "service_healthy"}}
    command = SERVICES["edge"]["command"]
    host, _, port = command[command.index("--target") + 1].partition(":")
    assert host in SERVICES
    assert port == last(dockerfile_of("cloud"), "EXPOSE")
    assert SERVICES["cloud"]["healthcheck"]["test"][-1].endswith(f":{port}")


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


@pytest.mark.parametrize("service", SERVICES)
def test_each_image_installs_its_own_extra_and_copies_its_own_package(service: str) -> None:
    dockerfile = dockerfile_of(service)
    installs = [rest for name, rest in instructions(dockerfile) if name == "RUN" and f".[{service}]" in rest]
    assert len(installs) == 1
    assert "-c constraints.txt" in installs[0]
    assert service in pyproject()["project"]["optional-dependencies"]
    copied = {shlex.split(rest)[-1] for name, rest in instructions(dockerfile) if name == "COPY"}
    (entry,) = json.loads(last(dockerfile, "ENTRYPOINT"))
    assert {"shared/", f"{entry.replace('-', '_')}/"} <= copied
