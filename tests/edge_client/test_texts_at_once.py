"""Several texts at a time from one edge: each is what it is alone, and they share one promise."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_client.edge import Edge
from edge_client.promise.memory import Memory
from edge_client.promise.promises import Promise
from edge_client.testing import (
    byte_tokenizer,
)
from tests.edge_client.scripted_device import fake_bundle, fake_edge, manifest

VOCABULARY = byte_tokenizer().get_vocab_size()
MODES = ("sprint", "exact", "cloud", "local")
PROMPTS = ([0, 270, 280], [0, 290, 300], [0, 265, 310], [0, 330, 262])


@pytest.mark.parametrize("mode", MODES)
def test_streams_at_once_from_several_threads_give_what_each_gives_alone(mode):
    """Each thread waits for the others after every token, so that all texts are under way all the time."""
    options = {"mode": mode, "max_tokens": 40, "criterion": "strict", "budget": 0.1}

    def alone(prompt: list[int]) -> list[int]:
        with fake_edge(**options) as edge:
            return edge.generate(prompt).token_ids

    expected = [alone(prompt) for prompt in PROMPTS]
    together = threading.Barrier(len(PROMPTS), timeout=30)
    with fake_edge(**options) as edge, ThreadPoolExecutor(len(PROMPTS)) as threads:

        def beside_others(prompt: list[int]) -> list[int]:
            ids = []
            with edge.stream(prompt) as stream:
                for token in stream:
                    together.wait()
                    ids.append(token.id)
            return ids

        assert list(threads.map(beside_others, PROMPTS)) == expected


@pytest.mark.parametrize("kept", [True, False])
def test_streams_at_once_share_one_promise(tmp_path, kept):
    options = {"max_tokens": 40, "criterion": "strict", "budget": 0.1}
    both_began = threading.Barrier(2, timeout=30)
    with fake_edge(memory=tmp_path if kept else False, **options) as edge, ThreadPoolExecutor(2) as threads:

        def write(prompt: list[int]) -> int:
            with edge.stream(prompt) as stream:
                next(iter(stream))
                both_began.wait()
                return stream.finish().audit.tokens

        known = sum(threads.map(write, PROMPTS[:2]))
        promise = Promise.of(edge.settings, "scripted")
        entries = Memory.open(manifest(), tmp_path).entries if kept else edge._kit.memory()[0].entries
        assert list(entries) == [promise]
        assert (entries[promise].texts, entries[promise].counts.known) == (2, known)
        assert entries[promise].steering.account.tokens == known
        # The next text goes on from what both have taught.
        assert edge.generate(PROMPTS[2]).usage.tokens == 40
        after = (Memory.open(manifest(), tmp_path) if kept else edge._kit.memory()[0]).entries[promise]
        assert after.steering.account.tokens > known


def test_a_promise_is_another_one_by_budget_and_criterion_but_not_by_temperature():
    with fake_edge(max_tokens=10) as edge:
        for options in ({}, {"budget": 0.3}, {"criterion": "strict"}, {"temperature": 1.0}, {"seed": 5}):
            edge.generate("Tom", **options)
        assert sorted(entry.texts for entry in edge._kit.memory()[0].entries.values()) == [1, 1, 3]


def test_models_are_made_once_for_each_text_at_a_time():
    made = []
    bundle = fake_bundle()
    make = bundle.models._make
    bundle.models._make = lambda: made.append(1) or make()
    with Edge(bundle=bundle, max_tokens=5) as edge:
        for _ in range(3):
            edge.generate("Tom")
        assert len(made) == 1
        first, second = edge.stream("Tom"), edge.stream("Tom")
        assert next(first).id == next(second).id
        assert len(made) == 2
        first.close()
        second.close()
        edge.generate("Tom")
        assert len(made) == 2
