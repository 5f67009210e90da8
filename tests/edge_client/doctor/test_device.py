"""The device: sound ones are found sound, and what is broken is named with what to do."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edge_client.bundles.pocket import POCKET
from edge_client.doctor import device as device_module
from edge_client.doctor.device import Device, cache_bytes
from edge_client.inference.draft import SharedBufferDraft
from edge_client.settings import Settings
from shared.findings import Finding, Level, run_checks
from shared.machine import SystemFiles
from shared.manifest import read_manifest, write_manifest


def examine(device: Device, *names: str) -> dict[str, Finding]:
    """What was found by the checks of these names, or by all; there is one finding a check."""
    checks = [check for check in device.checks() if not names or check[0] in names]
    found = list(run_checks(checks))
    assert len({finding.name for finding in found}) == len(found)
    return {finding.name: finding for finding in found}


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(POCKET, tmp_path / "bundle"))


def test_a_sound_device():
    device = Device(POCKET, Settings())
    found = examine(device)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert set(found) == {"versions", "processor", "state", "bundle", "memory", "models", "draft"}
    assert found["versions"].values.keys() >= {"tandem", "python", "onnxruntime", "grpcio"}
    assert found["draft"].values["seconds"] == device.step
    assert found["draft"].values["low"] <= device.step <= found["draft"].values["high"]
    assert device.bundle.manifest.name == "pocket"


@pytest.mark.parametrize(
    ("cpu", "cpuinfo", "level", "sentence"),
    [
        ("max 100000", "flags : fpu avx2 avx512f", Level.OK, "x86_64 with avx512f,avx2, "),
        ("max 100000", "flags : fpu", Level.WARN, "none of amx_int8, avx512_vnni, avx_vnni, avx512f, avx2"),
        ("50000 100000", "flags : fpu avx2", Level.WARN, "0.5 cores: a text takes a whole one"),
    ],
)
def test_processors(tmp_path, monkeypatch, cpu, cpuinfo, level, sentence):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    files = SystemFiles(tmp_path, tmp_path / "meminfo", tmp_path / "cpuinfo")
    (tmp_path / "cpu.max").write_text(cpu)
    files.cpuinfo.write_text(cpuinfo)
    found = examine(Device(POCKET, Settings(), files), "processor")["processor"]
    assert (found.level, sentence in found.sentence) == (level, True)


def test_an_unknown_system_says_nothing_and_nothing_is_wrong_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    nowhere = SystemFiles(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    found = examine(Device(POCKET, Settings(), nowhere), "processor", "bundle", "memory")
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert "does not say how much is free" in found["memory"].sentence


def test_memory_that_does_not_suffice(tmp_path):
    files = SystemFiles(meminfo=tmp_path / "meminfo", cgroup=tmp_path)
    files.meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 4096 kB\n")
    found = examine(Device(POCKET, Settings(), files), "bundle", "memory")["memory"]
    assert (found.level, "only 4 MB are free" in found.sentence) == (Level.FAIL, True)
    assert found.values["free"] == 4096 << 10


def test_the_memory_of_a_text_is_that_of_its_cache():
    device = Device(POCKET, Settings())
    examine(device)
    manifest = device.bundle.manifest
    with device.bundle.models.lend() as models:
        assert isinstance(models.draft, SharedBufferDraft)
        assert cache_bytes(manifest) == sum(buffer.nbytes for buffer in models.draft._cache)
    grows = replace(manifest, draft=replace(manifest.draft, kind="concat"))
    assert cache_bytes(grows) == 2 * cache_bytes(manifest)


def test_a_damaged_bundle_leaves_no_hope_for_its_models(bundle):
    (bundle / "verifier.onnx").write_bytes(b"x")
    found = examine(Device(bundle, Settings()), "bundle", "memory", "models", "draft")
    assert list(found) == ["bundle"]
    assert "verifier.onnx is not the file that the manifest describes" in found["bundle"].sentence
    shutil.rmtree(bundle)
    assert "there is no bundle at" in examine(Device(bundle, Settings()), "bundle")["bundle"].sentence


def test_graphs_that_do_not_load_are_found_though_their_digests_are_right(bundle):
    (bundle / "verifier.onnx").write_bytes(b"x")
    write_manifest(bundle, read_manifest(POCKET))
    found = examine(Device(bundle, Settings()), "bundle", "models", "draft")
    assert [found[name].level for name in ("bundle", "models")] == [Level.OK, Level.FAIL]
    assert "cannot load" in found["models"].sentence
    assert "draft" not in found


def test_a_verifier_that_gives_no_probability_is_found(monkeypatch):
    monkeypatch.setattr(device_module.Drafter, "propose", lambda *_: type("", (), {"doubt": float("nan")}))
    found = examine(Device(POCKET, Settings()), "bundle", "models", "draft")
    assert (found["models"].level, "the verifier gives nan" in found["models"].sentence) == (Level.FAIL, True)
    assert "draft" not in found


def test_a_verifier_that_was_never_calibrated_is_told_of(bundle):
    write_manifest(bundle, replace(read_manifest(POCKET), calibration=[]))
    found = examine(Device(bundle, Settings()), "bundle")["bundle"]
    assert (found.level, "never calibrated" in found.sentence) == (Level.WARN, True)


def test_a_place_for_what_is_learned(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "new" / "state"))
    found = examine(Device(POCKET, Settings()), "state")["state"]
    assert (found.level, "will be made" in found.sentence) == (Level.OK, True)
    assert list(tmp_path.iterdir()) == [], "nothing is made by looking"
    (tmp_path / "new").write_text("a file")
    found = examine(Device(POCKET, Settings()), "state")["state"]
    assert (found.level, "set TANDEM_STATE" in found.sentence) == (Level.WARN, True)
