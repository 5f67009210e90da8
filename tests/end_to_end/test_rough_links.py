"""The pocket pair over a link that delays, wavers, loses packets and breaks: no token is lost, and none comes twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from time import monotonic

import pytest

from benchmarks.network.profiles import Profile
from benchmarks.network.relay import Relay
from edge_client import Completion, Edge, Origin
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow

ROUGH = Profile("rough", 0.080, "40 ms each way, wavering, with one packet in fifty lost", jitter=0.010, loss=0.02)
PROMPT = "Once upon a time"
TOKENS = 96
CUT_AT = 24
OUTAGE = 10.0
# Seconds from one break of the link to the next: in the longer ones texts get on, in the shorter ones no connection can
# even be made.
FLAPPING, DOWN = 0.5, 0.05


@dataclass(frozen=True)
class Link:
    """A target, and the rough link to it.

    Attributes:
        near: host:port of the target itself.
    """

    near: str
    relay: Relay


@pytest.fixture(scope="module")
def link(pocket_target: ServingTarget) -> Iterator[Link]:
    with Relay(ROUGH, pocket_target.address, seed=5) as relay:
        yield Link(pocket_target.address, relay)


@pytest.fixture(scope="module")
def undisturbed(link: Link) -> list[int]:
    with edge_at(link.near) as edge:
        return edge.generate(PROMPT, mode="cloud").token_ids


def edge_at(address: str) -> Edge:
    return Edge(address, memory=False, seed=3, max_tokens=TOKENS, budget=0.005)


@contextmanager
def breaking(relay: Relay, every: float) -> Iterator[None]:
    """Break all connections now and then, for the length of an outage, but no longer than a `with` block takes.

    Args:
        every: seconds.
    """
    ended = threading.Event()
    end = monotonic() + OUTAGE

    def cut() -> None:
        while not ended.is_set() and monotonic() < end:
            relay.cut()
            ended.wait(every)

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def written(edge: Edge, mode: str, trouble: AbstractContextManager[None] | None = None) -> Completion:
    """A text whose tokens came one by one, each once; with trouble from its middle on."""
    with edge.stream(PROMPT, mode=mode) as stream:
        ids = [token.id for token in islice(stream, CUT_AT)]
        with trouble or nullcontext():
            ids += [token.id for token in stream]
    assert ids == stream.completion.token_ids
    return stream.completion


def see_that_the_target_decided(link: Link, completion: Completion) -> None:
    """What the target is said to have decided on is its own behind just what stands before it."""
    with edge_at(link.near) as edge:
        prompt = edge.bundle.encode(PROMPT)
        for number, (id_, origin) in enumerate(zip(completion.token_ids, completion.origins, strict=True)):
            if origin in (Origin.CONFIRMED, Origin.TARGET):
                before = prompt + completion.token_ids[:number]
                assert edge.generate(before, mode="cloud", max_tokens=1).token_ids == [id_]


def was_away(completion: Completion) -> bool:
    """Whether the reader was told of an outage."""
    return any("is not reached" in warning for warning in completion.warnings)


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud"])
def test_a_rough_link_is_no_outage(link, undisturbed, mode):
    with edge_at(link.relay.address) as edge:
        completion = written(edge, mode)
    assert completion.usage.alone == 0
    assert completion.usage.reconnects == 0
    assert not was_away(completion)
    if mode == "sprint":
        assert completion.usage.audit.known == TOKENS
        see_that_the_target_decided(link, completion)
    else:
        assert completion.token_ids == undisturbed


@pytest.mark.parametrize("mode", ["sprint", "exact"])
def test_a_link_that_breaks_again_and_again_costs_no_token(link, undisturbed, mode):
    with edge_at(link.relay.address) as edge:
        completion = written(edge, mode, breaking(link.relay, FLAPPING))
    assert completion.usage.reconnects > 0
    if mode == "sprint":
        see_that_the_target_decided(link, completion)
    else:
        assert completion.usage.alone == 0
        assert completion.token_ids == undisturbed


def test_an_exact_text_waits_until_a_rough_link_is_back(link, undisturbed):
    begin = monotonic()
    with edge_at(link.relay.address) as edge:
        completion = written(edge, "exact", breaking(link.relay, DOWN))
    assert monotonic() - begin > OUTAGE
    assert completion.usage.reconnects == 1
    assert completion.token_ids == undisturbed
    assert was_away(completion)


def test_sprint_goes_on_without_a_rough_link_and_comes_back_to_it(link):
    with edge_at(link.relay.address) as edge:
        completion = written(edge, "sprint", breaking(link.relay, DOWN))
        # The link comes up a moment later than the relay lets it.
        again = next(text for _ in range(10) if not (text := edge.generate(PROMPT)).usage.alone)
    assert len(completion.token_ids) == TOKENS
    assert was_away(completion)
    assert completion.usage.alone > 0
    see_that_the_target_decided(link, completion)
    assert again.usage.audit.known == TOKENS
