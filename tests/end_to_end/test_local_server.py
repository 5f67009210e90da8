"""The local server over the embedded pair, with the target in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import pytest

from benchmarks.prompts import DIALOGUES, STORIES
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from tests.edge_client.server.serving import Served, served
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


@pytest.fixture
def client(bundle: Bundle, pocket_target: ServingTarget) -> Iterator[Served]:
    with Edge(pocket_target.address, bundle=bundle, memory=False, conversations=8) as edge, served(edge) as client:
        yield client


@pytest.mark.parametrize("mode", ["sprint", "exact", "local", "cloud"])
def test_eight_streams_all_get_on(bundle, pocket_target, mode):
    """None waits for another's end, and each is what it is alone, unless a budget learns from one for the next."""
    most = 60 if mode in ("exact", "cloud") else 100  # which the device alone writes in no time
    body = {"model": f"pocket:{mode}", "prompt": STORIES[0], "max_tokens": most}

    def read(seed: int) -> tuple[float, float, str]:
        times, text = [], ""
        for chunk in client.completions.create(**body, seed=seed, stream=True):
            times.append(perf_counter())
            text += chunk.choices[0].text
        return times[0], times[-1], text

    with (
        # Nothing is kept: a draft in 8 bits may round otherwise where it goes on from what it has read before.
        Edge(pocket_target.address, bundle=bundle, memory=False) as edge,
        served(edge) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        found = list(threads.map(read, range(8)))
    assert max(first for first, _, _ in found) < min(last for _, last, _ in found)
    if mode != "sprint":
        with Edge(pocket_target.address, bundle=bundle, memory=False, mode=mode, max_tokens=most) as alone:
            assert [text for *_, text in found] == [alone.generate(STORIES[0], seed=seed).text for seed in range(8)]


def test_exact_is_what_the_cloud_writes_turn_by_turn(client):
    def talk(mode: str) -> tuple[list[str], int]:
        turns, new = [{"role": "user", "content": DIALOGUES[0].splitlines()[0].removeprefix("User: ")}], 0
        for said in ("At seven in the evening.", "Yes, that is right."):
            got = client.chat.completions.create(model=f"pocket:{mode}", messages=turns, seed=4, max_tokens=30)
            answer = got.choices[0].message.content
            turns += [{"role": "assistant", "content": answer}, {"role": "user", "content": said}]
            new = got.usage.prompt_tokens - got.usage.prompt_tokens_details.cached_tokens
        return [turn["content"] for turn in turns], new

    (exact, new), (cloud, as_new) = talk("exact"), talk("cloud")
    assert exact == cloud
    assert 1 <= new <= 16, "of the last turn the target reads what was said, and the names of who speaks"
    assert as_new == 1, "it has been there before"
