"""The commands that docker-compose.yml names, as processes on loopback: credentials, target, health check, edge."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.project.tree import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
DEPLOY = ROOT / "deploy"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, which the image has"),
]


class Place:
    """Stands for the volumes: `words` of the compose file with their paths in a directory of this test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("credentials/server", "credentials/edge", "state"):
            (directory / name).mkdir(parents=True)

    def words(self, words: Sequence[str]) -> list[str]:
        return [re.sub(r"(?<![\w.])/(credentials|state)(?=/|$)", rf"{self.directory}/\1", word) for word in words]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("volumes"))


def make_credentials(place: Place) -> str:
    command = [sys.executable, str(DEPLOY / "credentials.py"), *place.words(SERVICES["credentials"]["command"])]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def made(place: Place) -> str:
    return make_credentials(place)


@pytest.fixture(scope="module")
def port(place: Place, made: str) -> Iterator[str]:
    """A target with the very options of the compose file, but for where it listens."""
    replaced = {"--host": "--host=127.0.0.1", "--metrics-host": "--metrics-host=127.0.0.1"}
    replaced |= {"--metrics-port": "--metrics-port=0"}
    command = [*SERVICES["cloud"]["entrypoint"][1:], *SERVICES["cloud"]["command"]]
    words = [replaced.get(word.split("=")[0], word) for word in place.words(command)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cloud_target", *words, "--port=0", "--threads=1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield line.rpartition(":")[2].strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_credentials_are_made_once(place: Place, made: str) -> None:
    assert made.splitlines() == [
        "made certificates for cloud and envoy",
        "made a token for edge-1",
        "made a token for edge-2",
    ]
    files = {path: path.read_bytes() for path in place.directory.rglob("*.*")}
    assert make_credentials(place) == ""
    assert {path: path.read_bytes() for path in place.directory.rglob("*.*")} == files
    server, edge = (
        {path.name for path in (place.directory / "credentials" / side).iterdir()} for side in ("server", "edge")
    )
    assert server == {"ca.pem", "server.pem", "server.key", "tokens.txt"}
    assert edge == {"ca.pem", "edge-1.token", "edge-2.token"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_lost_volume_is_filled_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    make_credentials(place)
    edge = tmp_path / "credentials/edge"
    shutil.rmtree(edge)
    edge.mkdir()
    assert make_credentials(place).splitlines() == ["made a token for edge-1", "made a token for edge-2"]
    assert (edge / "ca.pem").read_bytes() == (tmp_path / "credentials/server/ca.pem").read_bytes()


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem"])
@pytest.mark.parametrize("content", [None, "half a file"])
def test_a_lost_or_broken_file_is_made_again_with_those_that_belong_to_it(
    tmp_path: Path, name: str, content: str | None
) -> None:
    place = Place(tmp_path)
    make_credentials(place)
    file = tmp_path / "credentials/server" / name
    file.unlink() if content is None else file.write_text(content)
    assert make_credentials(place) == "made certificates for cloud and envoy\n"
    assert make_credentials(place) == ""
    assert (tmp_path / "credentials/edge/ca.pem").read_bytes() == (tmp_path / "credentials/server/ca.pem").read_bytes()


def test_the_health_check_passes(place: Place, port: str) -> None:
    _, python, script, address, *ca = SERVICES["cloud"]["healthcheck"]["test"]
    assert (python, Path(script).name) == ("python", "healthcheck.py")
    command = [sys.executable, str(DEPLOY / "healthcheck.py"), address.replace("50051", port), *place.words(ca)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout.strip()) == (0, "SERVING"), run.stderr
    plain = subprocess.run(command[:-2], capture_output=True, text=True, check=False, timeout=60)
    assert plain.returncode == 1


def environment(place: Place, service: str, port: str) -> dict[str, str]:
    asked = SERVICES[service]["environment"]
    made = dict(zip(asked, place.words(list(asked.values())), strict=True))
    return os.environ | made | {"TANDEM_TARGET": made["TANDEM_TARGET"].replace("cloud:50051", f"127.0.0.1:{port}")}


@pytest.mark.parametrize("service", ["edge-1", "edge-2"])
def test_an_edge_writes_and_remembers(place: Place, port: str, service: str) -> None:
    command = [sys.executable, "-m", "edge_client", *SERVICES[service]["command"], "--max-tokens=16"]
    variables = environment(place, service, port)
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=variables)
    assert run.returncode == 0, run.stderr
    assert "calls/token" in run.stderr
    assert [*(place.directory / "state").iterdir()]


def test_without_its_token_an_edge_is_told(place: Place, port: str) -> None:
    variables = {k: v for k, v in environment(place, "edge-1", port).items() if k != "TANDEM_TOKEN_FILE"}
    command = [sys.executable, "-m", "edge_client", "--max-tokens=8", "Once"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=variables)
    assert run.returncode == 3
    assert "token" in run.stderr.splitlines()[-1]
