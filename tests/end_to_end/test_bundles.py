"""A real target with a bundle, and devices that were given none: fetched, interrupted, shared, updated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.local_target import local_target
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.store import Store
from edge_client.bundles.writing import PARTIAL
from edge_client.edge import Edge
from edge_client.testing import ScriptedTarget, random_script
from shared.contents import NAMES
from shared.manifest import read_manifest
from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.bundles.offers import contents_of, files_of, target_of, tidy
from tests.edge_client.cli.test_process import skip_if_ignored
from tests.grpc_service import Servicer, serving
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow


def pocket_named(directory: Path, name: str) -> Path:
    """The embedded bundle under another name, which makes it another bundle."""
    directory.mkdir()
    for file in NAMES:
        shutil.copy(POCKET / file, directory / file)
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    read_manifest(directory)
    return directory


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> Path:
    return pocket_named(tmp_path_factory.mktemp("offered") / "bundle", "theirs")


@pytest.fixture(scope="module")
def address(offered) -> Iterator[str]:
    with local_target("--threads", "1", "--kv-memory", "64MiB", "--bundle", str(offered)) as target:
        yield target.address


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("TANDEM_BUNDLES", str(tmp_path / "bundles"))
    return Store(tmp_path / "bundles")


@pytest.fixture
def start(store) -> Iterator[Callable[..., subprocess.Popen]]:
    runs: list[subprocess.Popen] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "edge_client", *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        runs.append(subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ | environment, **pipes))
        return runs[-1]

    yield begin
    for run in runs:
        with run:
            run.kill()


def test_two_devices_fetch_it_at_once_and_a_third_one_finds_it(address, offered, store, start):
    words = ("--target", address, "--json", "--max-tokens", "12", "--mode", "exact", "Once upon a time")
    both = [start(*words) for _ in range(2)]
    found = [run.communicate(timeout=PATIENCE) for run in both]
    assert [run.returncode for run in both] == [0, 0], found
    digest = contents_of(offered).digest
    assert tidy(store.place) == [digest]
    assert files_of(store.place / digest) == files_of(offered)
    times = [(store.place / digest / name).stat().st_mtime_ns for name in NAMES]
    third = start(*words)
    texts = [json.loads(out)["text"] for out, _ in (*found, third.communicate(timeout=PATIENCE))]
    assert len(set(texts)) == 1
    assert [(store.place / digest / name).stat().st_mtime_ns for name in NAMES] == times
    alone = start("--target", address, "--mode", "local", "--json", "--max-tokens", "5", "Once")
    assert alone.communicate(timeout=PATIENCE)[1] == ""
    listed = start("bundle", "list", "--json")
    ((kept),) = json.loads(listed.communicate(timeout=PATIENCE)[0])
    assert (kept["name"], kept["addresses"]) == ("theirs", [address])


def test_ctrl_c_in_the_middle_leaves_what_came_and_the_next_try_goes_on(offered, store, start, tmp_path):
    """Over real gRPC: the target stops sending in the middle, as the test says."""
    skip_if_ignored(signal.SIGINT)
    half = contents_of(offered).size // 2
    servicer = Servicer(target_of(offered))
    servicer.most_bytes = half
    with serving(servicer) as port:
        first = start("bundle", "pull", "--target", f"127.0.0.1:{port}")
        assert servicer.unanswered.wait(PATIENCE)
        partial = store.place / f"{PARTIAL}{contents_of(offered).digest}"
        end = time.monotonic() + PATIENCE
        while not (partial / "draft.onnx").exists() or not (partial / "draft.onnx").stat().st_size:
            assert time.monotonic() < end
            time.sleep(0.02)
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=PATIENCE)
        assert (first.returncode, out) == (130, "")
        assert "Traceback" not in err
        assert tidy(store.place) == [partial.name]
        servicer.most_bytes = None
        begun = servicer.bytes
        second = start("bundle", "pull", "--target", f"127.0.0.1:{port}")
        out, err = second.communicate(timeout=PATIENCE)
        assert (second.returncode, err) == (0, "")
        assert servicer.bytes - begun < contents_of(offered).size
    assert tidy(store.place) == [contents_of(offered).digest]
    assert files_of(store.place / contents_of(offered).digest) == files_of(offered)


def test_an_updated_target_brings_its_new_bundle_to_a_device_that_runs(offered, store, tmp_path):
    """Real bundles and real gRPC; the target's opinion is a script's, for it starts sooner."""
    told: list[str] = []
    newer = pocket_named(tmp_path / "newer", "newer")
    manifest = read_manifest(POCKET)
    target = ScriptedTarget.of(manifest, random_script(manifest.vocabulary))
    target.offer(offered)
    with serving(Servicer(target)) as port:
        edge = Edge(f"127.0.0.1:{port}", memory=False, max_tokens=60, mode="cloud", notify=told.append)
        stream = edge.stream("Once upon a time")
        next(stream)
        assert edge.bundle.manifest.name == "theirs"
    target.restart()
    target.offer(newer)
    with edge, serving(Servicer(target), port):
        assert stream.finish().usage.reconnects == 1  # it goes on with what it began with
        edge.generate("Once upon a time", max_tokens=5)
        assert edge.bundle.manifest.name == "newer"
    assert told[-1].endswith("texts are written with the bundle newer from here on")
