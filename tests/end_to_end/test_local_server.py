"""The local server over the embedded pair, with the target in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from benchmarks.prompts import DIALOGUES, STORIES
from edge_client.bundles.bundle import Bundle
from edge_client.decoding.text import Token
from edge_client.edge import Edge
from edge_client.stream import Stream
from tests.edge_client.server.serving import Served, served
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow

TOKENS = 60
PATIENCE = 20.0  # seconds; the client has 30


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


@pytest.fixture
def client(bundle: Bundle, pocket_target: ServingTarget) -> Iterator[Served]:
    with Edge(pocket_target.address, bundle=bundle, memory=False, conversations=8) as edge, served(edge) as client:
        yield client


@pytest.mark.parametrize("mode", ["sprint", "exact", "local", "cloud"])
def test_eight_streams_all_get_on(bundle, pocket_target, mode, monkeypatch):
    """None waits for another's end, and each is what it is alone, unless a budget learns from one for the next.

    No text has a second token before the readers of all have heard the first.
    """
    body = {"model": f"pocket:{mode}", "prompt": STORIES[0], "max_tokens": TOKENS}
    all_have_heard, events_of = Event(), Stream.__iter__
    first = Barrier(8, all_have_heard.set)

    def held(stream: Stream[Token]) -> Iterator[Token]:
        for number, token in enumerate(events_of(stream)):
            if number:
                all_have_heard.wait(PATIENCE)
            yield token

    monkeypatch.setattr(Stream, "__iter__", held)

    def read(seed: int) -> str:
        chunks = client.completions.create(**body, seed=seed, stream=True)
        text = next(chunks).choices[0].text
        first.wait(PATIENCE)
        return text + "".join(chunk.choices[0].text for chunk in chunks)

    with (
        # Nothing is kept: a draft in 8 bits may round otherwise where it goes on from what it has read before.
        Edge(pocket_target.address, bundle=bundle, memory=False) as edge,
        served(edge) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        found = list(threads.map(read, range(8)))
    if mode != "sprint":
        with Edge(pocket_target.address, bundle=bundle, memory=False, mode=mode, max_tokens=TOKENS) as alone:
            assert found == [alone.generate(STORIES[0], seed=seed).text for seed in range(8)]


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
