"""Adapters in vLLM itself, in one worker and in two: with each its answers are those of the model it was merged into.

It is left out where vLLM is not installed; `make test-vllm` has an environment with it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.local_target import TargetProcess, local_target
from cloud_target.cli import main as cloud
from cloud_target.engine.interface import Feed
from cloud_target.engine.settings import VLLM, EngineSettings
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from shared.config import Sampling
from shared.errors import InputError
from tests.cloud_target.engine.adapters import ATTENTION, FEEDING, merged, write_adapter
from tests.cloud_target.engine.vllm.test_served import MODES, SERVE, Job, edge_on, text_of, texts
from tests.cloud_target.engine.vllm.test_with_vllm import CONTEXT, asked, assert_same, model_runner, random_feed
from tests.end_to_end.families import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm has it"),
]
JOBS = [(i, temperature, 0.9) for i in range(8) for temperature in (0.0, 0.7)]


@dataclass(frozen=True)
class Made:
    """A checkpoint, its adapters, and what each makes of it; "" makes nothing."""

    base: Path
    adapters: dict[str, Path]
    merged: dict[str, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    place, family = tmp_path_factory.mktemp("lora"), FAMILIES["llama"]
    base = replace(family, options=family.options | {"head_dim": 32}).write(place / "base")
    adapters = {
        "poet": write_adapter(place / "poet", base, ATTENTION, 4, seed=1),
        "clerk": write_adapter(place / "clerk", base, (*FEEDING, "q_proj"), 12, seed=2, use_rslora=True),
    }
    return Made(base, adapters, {"": base} | {n: merged(place / f"with-{n}", base, adapters[n]) for n in adapters})


def settings_of(made: Made, **changes: object) -> EngineSettings:
    adapters = tuple((name, str(path)) for name, path in made.adapters.items())
    usual = EngineSettings(str(made.base), "cpu", "float32", 1 << 28, CONTEXT, 1, VLLM, adapters=adapters)
    return replace(usual, **changes)


@pytest.fixture(scope="module", params=["first runner", "second runner"])
def engines(request: pytest.FixtureRequest, made: Made) -> Iterator[tuple]:
    """vLLM with the adapters, and of ours one for each."""
    from cloud_target.engine.load import load_engine
    from cloud_target.engine.vllm.load import load_vllm

    notes: list[str] = []
    with model_runner(is_second="second" in request.param):
        theirs = load_vllm(settings_of(made), tell=notes.append)
    try:
        assert notes == []
        assert [one.name for one in theirs.description.adapters] == [*made.adapters]
        yield (
            theirs,
            {
                name: load_engine(EngineSettings(str(path), "cpu", "float32", 1 << 26, CONTEXT, 1))
                for name, path in made.merged.items()
            },
        )
    finally:
        theirs.close()


def test_texts_of_all_side_by_side_are_scored_as_by_the_merged_models(engines):
    one, others = engines
    chance = random.Random(3)
    for _ in range(4):
        feeds = [
            replace(random_feed(chance, slot, 0, one.description.vocabulary), adapter=chance.choice([*others]))
            for slot in range(12)
        ]
        for found, feed in zip(asked(one, feeds), feeds, strict=True):
            assert_same(found, others[feed.adapter].forward([replace(feed, adapter="")])[0])


def test_the_cache_of_one_is_nothing_to_the_others(engines):
    one, others = engines
    text = Feed(10, 0, tuple(range(2, 72)), 69, Sampling(0.0))
    for adapter in others:
        before = one.cached
        asked(one, [replace(text, adapter=adapter)], "a")
        assert one.cached == before
    for adapter, other in others.items():
        before = one.cached
        [found] = asked(one, [replace(text, adapter=adapter)], "a")
        assert one.cached >= before + one.block
        assert_same(found, other.forward([text])[0])


def test_an_adapter_that_vllm_does_not_take_is_refused_by_name(made, tmp_path):
    from cloud_target.engine.vllm.load import load_vllm

    deep = {"deep": write_adapter(tmp_path / "deep", made.base, rank=513)}
    with pytest.raises(InputError, match="deep cannot be used: its rank is 513, and vLLM takes at most 512"):
        load_vllm(settings_of(replace(made, adapters=deep)))
    decomposed = {"dora": write_adapter(tmp_path / "dora", made.base, use_dora=True)}
    with pytest.raises(InputError, match=r"dora cannot be used: vLLM does not take it .*DoRA"):
        load_vllm(settings_of(replace(made, adapters=decomposed)))


def written(edge: Edge, options: Mapping[str, object], job: tuple[str, Job]) -> list[int]:
    return text_of(edge, job[1], adapter=job[0], **options)


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


def test_a_service_of_two_ranks_writes_what_the_merged_models_write_and_leaves_none_behind(made, tmp_path):
    words = ["export", "--draft", str(made.base), "--target", str(made.base), "--out", str(tmp_path / "bundle")]
    assert cloud(words) == 0
    bundle = Bundle.load(tmp_path / "bundle")
    expected: dict[str, list[list[int]]] = {}
    for name, path in made.merged.items():
        with local_target("--target", str(path), *SERVE) as other, edge_on(other.address, bundle) as edge:
            expected[name] = texts(edge, JOBS, 4, **MODES["cloud"])
    assert len({tuple(map(tuple, found)) for found in expected.values()}) == len(made.merged)
    loras = [word for name, path in made.adapters.items() for word in ("--lora", f"{name}={path}")]
    serve = ("--target", str(made.base), "--engine", "vllm", *loras, *SERVE, "--", "--tensor-parallel-size", "2")
    served, begun = TargetProcess(serve), []
    try:
        begun = begun_by(served.pid)
        names = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in begun]
        assert sum("Worker_TP" in name for name in names) == 2
        with edge_on(served.address, bundle) as edge:
            for mode, options in MODES.items():
                jobs = [(name, job) for job in JOBS for name in made.merged]
                with ThreadPoolExecutor(12) as pool:  # texts of all at once
                    found = [*pool.map(partial(written, edge, options), jobs)]
                for name in made.merged:
                    own = [text for (other, _), text in zip(jobs, found, strict=True) if other == name]
                    assert own == expected[name], (mode, name)
    finally:
        served.kill()
    ends = time.monotonic() + 20
    while any(map(is_there, begun)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(map(is_there, begun))
