"""What is sent of guesses: each once where the target knows them by number, and all the same the same text."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.target.transport import Link, Transport
from edge_client.testing import LoopbackTransport, LossyTransport, ManualClock
from shared.config import Mode, Sampling
from shared.wire.guesses import TEXT, decode_guesses
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.decoding.pair import Pair
from tests.edge_client.decoding.test_in_flight import PLANS, PROMPT, SAMPLINGS, TROUBLES
from tests.edge_client.late import LateTransport


class Overheard(LoopbackTransport):
    """Keeps what is sent; `is_old`: the target is from before guesses could be named."""

    def __init__(self, pair: Pair, is_old: bool = False) -> None:
        super().__init__(pair.cloud)
        self.is_old, self.sent = is_old, []

    def open(self) -> Link:
        self.sent.append([])
        return _Overheard(super().open(), self.sent[-1], self.is_old)


class _Overheard(Link):
    def __init__(self, inner: Link, sent: list, is_old: bool) -> None:
        self._inner, self._sent, self._is_old = inner, sent, is_old

    def send(self, request: wire.DecodeRequest) -> None:
        self._sent.append(wire.DecodeRequest.FromString(request.SerializeToString()))
        self._inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        answer = self._inner.receive(timeout)
        if answer is not None and self._is_old:
            answer.verdict.ClearField("names_guesses") if answer.HasField("verdict") else None
        return answer

    def close(self) -> None:
        self._inner.close()


def trees(transport: Overheard) -> list[list]:
    """Of each stream."""
    return [[decode_guesses(one.guesses, 6) for one in sent if one.HasField("guesses")] for sent in transport.sent]


def written(pair: Pair, transport: Transport, sampling: Sampling, clock: ManualClock | None = None) -> list[int]:
    how = {"tokens": 40, "window": 9, "transport": transport, "clock": clock}
    return pair.write(Mode.EXACT, sampling, PROMPT, **how).sequence


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(SAMPLINGS, st.floats(0, 1.5), PLANS)
def test_no_guess_is_sent_twice(sampling, blur, plan):
    pair = Pair(blur=blur)
    transport = Overheard(pair)
    text = written(pair, LateTransport(transport, plan), sampling)
    assert text == pair.write(Mode.CLOUD, sampling, PROMPT, tokens=40).sequence
    [stream] = trees(transport)
    sent: list[tuple[int, ...]] = []
    repeats: Counter[int] = Counter()
    for tree in stream:
        paths: list[tuple[int, ...]] = []
        before = [*sent]
        for token, parent in zip(tree.tokens, tree.parents, strict=True):
            if parent == TEXT:
                parent_path = tuple(text[: tree.position])
            else:
                parent_path = paths[parent] if parent >= 0 else before[parent - TEXT]
            paths.append((*parent_path, token))
        repeats[len(tree.tokens)] += len(set(paths) & set(before))
        sent += paths
    # One that says that there is nothing new is a guess that was sent.
    assert all(count == 0 for size, count in repeats.items() if size > 1)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(SAMPLINGS, PLANS, TROUBLES)
def test_a_target_from_before_is_told_as_ever(sampling, plan, troubles):
    pair = Pair()
    old = Overheard(pair, is_old=True)
    text = written(pair, LateTransport(old, plan), sampling)
    assert text == pair.write(Mode.CLOUD, sampling, PROMPT, tokens=40).sequence
    assert all(parent >= TEXT for stream in trees(old) for tree in stream for parent in tree.parents)
    clock = ManualClock()
    lossy = LateTransport(LossyTransport(pair.cloud, troubles, clock), plan)
    assert written(pair, lossy, sampling, clock) == text


def test_what_names_its_parents_is_shorter():
    pair, plan = Pair(blur=0.3), ([False] * 20 + [True]) * 100
    sizes = []
    for is_old in (True, False):
        transport = Overheard(pair, is_old)
        written(pair, LateTransport(transport, plan), Sampling(0.7))
        sizes.append(sum(one.ByteSize() for stream in transport.sent for one in stream))
    assert sizes[1] < 0.9 * sizes[0]
    assert any(parent < TEXT for stream in trees(transport) for tree in stream for parent in tree.parents)
