"""A target that several of vLLM's workers share: its texts are those of one alone, and none outlives the service.

It is left out where vLLM is not installed; `make test-vllm` has an environment with it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.local_target import TargetProcess, local_target
from cloud_target.cli import main as cloud
from edge_client.bundles.bundle import Bundle
from tests.cloud_target.engine.vllm.test_served import JOBS, MODES, SERVE, edge_on, texts
from tests.end_to_end.families import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm has it"),
]
SOME = JOBS[:: len(JOBS) // 16]


def begun_by(pid: int) -> list[int]:
    """The processes that one has begun, and those that these have."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *begun_by(int(child))]
    return found


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_texts_of_two_ranks_are_those_of_the_other_engine_and_neither_outlives_a_kill(tmp_path):
    family = FAMILIES["llama"]
    target = str(replace(family, options=family.options | {"head_dim": 32}).write(tmp_path / "llama"))
    assert cloud(["export", "--draft", target, "--target", target, "--out", str(tmp_path / "bundle")]) == 0
    bundle = Bundle.load(tmp_path / "bundle")
    with local_target("--target", target, *SERVE) as other, edge_on(other.address, bundle) as edge:
        expected = texts(edge, SOME, 4, **MODES["cloud"])
    served = TargetProcess(("--target", target, "--engine", "vllm", *SERVE, "--", "--tensor-parallel-size", "2"))
    try:
        begun = begun_by(served.pid)
        names = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in begun]
        assert sum("Worker_TP" in name for name in names) == 2
        with edge_on(served.address, bundle) as edge:
            for name, mode in MODES.items():
                assert texts(edge, SOME, 8, **mode) == expected, name
    finally:
        served.kill()
    ends = time.monotonic() + 20
    while any(map(is_there, begun)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(map(is_there, begun))
