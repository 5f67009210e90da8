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

import numpy as np
import pytest

from benchmarks.local_target import TargetProcess, local_target
from edge_client.bundles.pocket import POCKET
from edge_client.bundles.standing import Record
from edge_client.bundles.store import Store
from edge_client.bundles.trials import Trials
from edge_client.bundles.writing import PARTIAL
from edge_client.edge import Edge
from edge_client.promise.trial import SAMPLE_TOKENS, kind_of
from edge_client.testing import ScriptedTarget, random_script
from shared.contents import NAMES
from shared.features import SCALARS
from shared.manifest import read_manifest, write_manifest
from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.bundles.offers import contents_of, files_of, target_of, tidy, wait_for_errands, wrote
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
    words = ("--target", address, "--json", "--max-tokens", "12", "--seed", "1", "--mode", "exact", "Once upon a time")
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


def with_a_blind_verifier(directory: Path) -> Path:
    """The embedded bundle with a head that thinks the same of all tokens, so that all have to be asked about."""
    onnx = pytest.importorskip("onnx")
    pocket_named(directory, "blind")
    manifest = read_manifest(directory)
    width = SCALARS + manifest.draft.hidden
    nothing = onnx.numpy_helper.from_array(np.zeros((width, 2), np.float32), "nothing")
    same = onnx.numpy_helper.from_array(np.full((1, 2), 0.05, np.float32), "same")
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["features", "nothing"], ["zero"]),
            onnx.helper.make_node("Add", ["zero", "same"], ["doubt"]),
        ],
        "blind",
        [onnx.helper.make_tensor_value_info("features", kind, [1, width])],
        [onnx.helper.make_tensor_value_info("doubt", kind, [1, 2])],
        [nothing, same],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, directory / "verifier.onnx")
    write_manifest(directory, manifest)
    return directory


def test_a_new_bundle_that_is_worse_is_taken_back(offered, store, start, tmp_path, monkeypatch):
    """A real target, restarted with another bundle; the next program knows of it, too."""
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    told: list[str] = []
    serve = ("--threads", "1", "--kv-memory", "64MiB", "--bundle")
    target = TargetProcess((*serve, str(offered)))
    edge = Edge(target.address, budget=0.002, max_tokens=SAMPLE_TOKENS, notify=told.append)
    written: list[str] = []

    def write() -> None:
        edge.generate("Once upon a time there was", seed=len(written))
        written.append(edge.bundle.manifest.name)

    try:
        with edge:
            write()
            record = Record(
                contents_of(offered).digest, edge.connect().description.fingerprint, kind_of(edge.settings) or ""
            )
            wrote(Trials.kept(True), record, 0.15, 20, target.address)  # as it needs the target, in many texts
            target.stop()
            target = TargetProcess(
                (*serve, str(with_a_blind_verifier(tmp_path / "blind"))), int(target.address.rpartition(":")[2])
            )
            edge._source.doubt()  # as if half a minute had passed
            while written[-1] != "theirs" or "blind" not in written:
                write()
                assert len(written) < 60, told
        assert [*dict.fromkeys(written)] == ["theirs", "blind"]
        assert written.count("blind") * SAMPLE_TOKENS <= 3000
        assert told[-1].startswith("the bundle blind needs the target for ")
        next_one = start("--target", target.address, "--json", "--max-tokens", "5", "Once upon a time")
        out, err = next_one.communicate(timeout=PATIENCE)
        assert (next_one.returncode, err, json.loads(out)["mode"]) == (0, "", "sprint")
        listed = json.loads(start("bundle", "list", "--json").communicate(timeout=PATIENCE)[0])
        kept = {one["name"]: (one["addresses"], one["set_aside"]) for one in listed}
        assert kept == {"theirs": ([target.address], []), "blind": ([], [target.address])}
    finally:
        target.stop()


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
        wait_for_errands()
        edge.generate("Once upon a time", max_tokens=5)
        assert edge.bundle.manifest.name == "newer"
    assert told[-1].endswith("texts are written with the bundle newer from here on")
