"""Another target takes over from one, as docs/operations.md tells it: side by side, and edges move by their address."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.envoy import free_ports
from benchmarks.local_target import TargetProcess
from cloud_target.engine.files import POCKET_DIRECTORY, target_fingerprint
from edge_client import Credentials, Edge
from edge_client.bundles.pocket import POCKET
from shared.contents import NAMES
from shared.manifest import read_manifest
from tests.cloud_target.server.process import PATIENCE
from tests.cloud_target.telemetry.scraped import Page
from tests.project.test_readme import commands
from tests.project.tree import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PASSAGE = PAGE[PAGE.index("**Another target**") : PAGE.index("## Metrics")]


def changed_copy(directory: Path) -> Path:
    """The embedded target, but for the last digit of one weight."""
    shutil.copytree(POCKET_DIRECTORY, directory)
    weights = directory / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4] ^= 1
    weights.write_bytes(data)
    return directory


def bundle_for(target: Path, directory: Path) -> Path:
    """The embedded bundle, made for another target."""
    directory.mkdir()
    for file in NAMES:
        shutil.copy(POCKET / file, directory / file)
    manifest = json.loads((directory / "manifest.json").read_text())
    made_for = {"name": directory.name, "target_name": target.name, "target_fingerprint": target_fingerprint(target)}
    (directory / "manifest.json").write_text(json.dumps(manifest | made_for))
    read_manifest(directory)
    return directory


@dataclass(frozen=True)
class Target:
    """A running one.

    Attributes:
        address, metrics: host:port of its doors.
        fingerprint: who it is.
    """

    process: TargetProcess
    address: str
    metrics: str
    fingerprint: str


@dataclass(frozen=True)
class RollOut:
    """Two targets, the old and the next, and what an edge needs to reach them."""

    old: Target
    next: Target
    edge: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the page, by the device's command line."""
        own = {"next.example:50051": self.next.address, "ca.pem": str(self.edge / "ca.pem")}
        own["my.token"] = str(self.edge / "edge.token")
        command = [sys.executable, "-m", "edge_client", *(own.get(word, word) for word in words)]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    """The commands of the page, by what they do."""
    serve, doctor, write = (words for words in commands(PASSAGE) if words[0] != "kubectl")
    assert (serve[:2], doctor[:2], write[:2]) == (
        ["cloud-target", "serve"],
        ["edge-client", "doctor"],
        ["edge-client", "--target"],
    )
    return {"serve": serve, "doctor": doctor, "write": write}


@pytest.fixture(scope="module")
def rolling(tmp_path_factory, shown) -> Iterator[RollOut]:
    place = tmp_path_factory.mktemp("roll-out")
    server, edge = place / "server", place / "edge"
    for directory in (server, edge):
        directory.mkdir()
    runpy.run_path(str(ROOT / "deploy/credentials.py"))["main"](server, edge, "cloud", "edge")
    with ExitStack() as stack:

        def start(target: Path, bundle: Path) -> Target:
            """With the command of the page."""
            [metrics] = free_ports(1)
            own = {"./next": str(target), "./next-bundle": str(bundle), "9464": str(metrics)}
            own |= {name: str(server / name) for name in ("server.pem", "server.key", "tokens.txt")}
            words = [own.get(word, word) for word in shown["serve"][2:]]
            process = TargetProcess((*words, "--threads", "1", "--kv-memory", "64MiB"))
            stack.callback(process.stop)
            port = process.address.rpartition(":")[2]
            return Target(process, f"localhost:{port}", f"127.0.0.1:{metrics}", target_fingerprint(target))

        following = changed_copy(place / "next")
        yield RollOut(
            start(POCKET_DIRECTORY, bundle_for(POCKET_DIRECTORY, place / "old-bundle")),
            start(following, bundle_for(following, place / "next-bundle")),
            edge,
        )


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_BUNDLES", str(tmp_path / "bundles"))
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def test_metrics_tell_the_two_apart(rolling):
    found = {
        sample.labels["fingerprint"]
        for target in (rolling.old, rolling.next)
        for sample in Page(target.metrics).samples
        if sample.name == "tandem_build_info"
    }
    assert found == {rolling.old.fingerprint, rolling.next.fingerprint}
    assert len(found) == 2


def test_doctor_tells_the_fingerprint_and_whether_the_bundle_fits(rolling, shown):
    before = rolling.run(*shown["doctor"][1:])
    assert before.returncode == 0, before.stdout + before.stderr
    assert f"fingerprint {rolling.next.fingerprint}" in before.stdout
    assert re.search(r"^warn fit: the target offers a bundle of its own", before.stdout, re.MULTILINE)
    given = rolling.run(*shown["doctor"][1:], "--bundle", str(POCKET))
    assert re.search(r"^warn fit: the verifier of the bundle \w+ was trained for", given.stdout, re.MULTILINE)
    written = rolling.run(*shown["write"][1:], "--json", "--max-tokens", "5")
    assert written.returncode == 0, written.stderr
    after = rolling.run(*shown["doctor"][1:])
    assert re.search(r"^ok +fit: the bundle next-bundle was made for this target", after.stdout, re.MULTILINE)


def test_an_edge_moves_by_its_address_and_the_old_one_ends_when_nobody_is_there(rolling):
    """Last, for it ends the old one."""
    credentials = Credentials(ca=rolling.edge / "ca.pem", token=(rolling.edge / "edge.token").read_text().strip())

    def streams(target: Target) -> float:
        return Page(target.metrics).value("tandem_streams")

    options = {"credentials": credentials, "memory": False, "mode": "cloud", "max_tokens": 24, "seed": 1}
    with Edge(rolling.old.address, **options) as before, Edge(rolling.next.address, **options) as after:
        with before.stream("Once upon a time") as under_way:
            next(under_way)
            assert streams(rolling.old) == 1
            moved = after.generate("Once upon a time")
            assert under_way.finish().usage.tokens == moved.usage.tokens == 24
        assert [before.bundle.manifest.name, after.bundle.manifest.name] == ["old-bundle", "next-bundle"]
        assert moved.warnings == []
    assert (streams(rolling.old), streams(rolling.next)) == (0, 0)
    assert rolling.old.process.stop() == 0
