"""A service on vLLM, as edges meet it: every text is the one that they get from the other engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import pytest

from benchmarks.local_target import TargetProcess, local_target
from cloud_target.cli import main as cloud
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from shared.config import Mode
from tests.end_to_end.families import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm has it"),
]
PROMPTS, TOKENS = 30, 12
WAYS = [*product((0.0, 0.7, 1.0), (0.9, 1.0))]
SERVE = ("--threads", "1", "--context", "79", "--kv-memory", "256MiB")
# Modes whose texts are the target's own, whatever the device thinks.
MODES = {"cloud": {"mode": Mode.CLOUD}, "exact": {"mode": Mode.EXACT}, "asking": {"mode": Mode.SPRINT, "budget": 0.0}}
Job = tuple[int, float, float]
JOBS: Sequence[Job] = [(i, *way) for i in range(PROMPTS) for way in WAYS]


@pytest.fixture(scope="module", params=["pocket", "llama"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Bundle]:
    """A target's name, and a bundle for it, whose draft is the target itself where it is a random one."""
    if request.param == "pocket":
        return "pocket", Bundle.load()
    place = tmp_path_factory.mktemp("pair")
    family = FAMILIES[request.param]
    target = replace(family, options=family.options | {"head_dim": 32}).write(place / request.param)
    assert cloud(["export", "--draft", str(target), "--target", str(target), "--out", str(place / "bundle")]) == 0
    return str(target), Bundle.load(place / "bundle")


@contextmanager
def edge_on(address: str, bundle: Bundle) -> Iterator[Edge]:
    with Edge(address, bundle=bundle, memory=False, max_tokens=TOKENS, on_outage="wait") as edge:
        yield edge


def text_of(edge: Edge, job: Job, on_token: Callable[[int], None] = lambda _: None, **options: object) -> list[int]:
    """What follows a prompt of a few tokens, which are the job's own."""
    index, temperature, top_p = job
    ids = [1 + (37 * index + 11 * i) % 200 for i in range(2 + index % 9)]
    with edge.stream(ids, temperature=temperature, top_p=top_p, seed=index, **options) as stream:
        for count, _ in enumerate(stream):
            on_token(count)
        return [*stream.finish().token_ids]


def texts(edge: Edge, jobs: Sequence[Job], at_once: int, **options: object) -> list[list[int]]:
    with ThreadPoolExecutor(at_once) as pool:
        return [*pool.map(lambda job: text_of(edge, job, **options), jobs)]


def test_texts_are_those_of_the_other_engine_and_outlive_a_crash(pair: tuple[str, Bundle]):
    target, bundle = pair
    with local_target("--target", target, *SERVE) as other, edge_on(other.address, bundle) as edge:
        expected = texts(edge, JOBS, 8, **MODES["cloud"])
    assert len(set(map(tuple, expected))) > PROMPTS
    serve = ("--target", target, "--engine", "vllm", *SERVE)
    served = TargetProcess(serve)
    port = int(served.address.rpartition(":")[2])

    def crash(count: int) -> None:
        nonlocal served
        if count == TOKENS // 3:
            served.kill()
            served = TargetProcess(serve, port)

    try:
        with edge_on(served.address, bundle) as edge:
            for name, mode in MODES.items():
                assert texts(edge, JOBS, 16, **mode) == expected, name
            some = slice(None, None, len(JOBS) // 12)
            assert texts(edge, JOBS[some], 1, **MODES["exact"]) == expected[some]
            longest = max(range(len(JOBS)), key=lambda i: len(expected[i]))
            assert len(expected[longest]) > TOKENS // 3 + 1
            assert text_of(edge, JOBS[longest], crash, **MODES["exact"]) == expected[longest]
    finally:
        assert served.stop() == 0
