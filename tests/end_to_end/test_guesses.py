"""The embedded target writes on while guesses come over a real link: the same text, in fewer passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import grpc
import pytest

from benchmarks.prompts import EVERY
from cloud_target.engine.hf.measure import SMALLEST_CHUNK
from cloud_target.protocol.guesses import MOST_JUDGED
from edge_client.bundles.bundle import Bundle
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.wire.guesses import TEXT, GuessTree, encode_guesses
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.streams import Stream
from tests.serving_target import ServingTarget

pytestmark = pytest.mark.slow

WRITE_ON = 64
# Tokens that a pass judges at least, however slow the machine was when the target measured it.
LEAST = min(MOST_JUDGED, SMALLEST_CHUNK)
SAMPLINGS = [Sampling(0.0), Sampling(0.7, 0, 0.9, seed=1), Sampling(1.0, seed=2)]


@pytest.fixture
def stub(pocket_target: ServingTarget) -> Iterator[TargetServiceStub]:
    with grpc.insecure_channel(pocket_target.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield TargetServiceStub(channel)


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    bundle = Bundle.load()
    return [bundle.encode(prompt) for prompt in EVERY[:2]]


def written(answers: Iterable[wire.DecodeResponse]) -> tuple[list[int], int]:
    """All tokens, and in how many passes the target wrote on."""
    tokens: list[int] = []
    passes = 0
    for answer in answers:
        if answer.HasField("verdict"):
            tokens.append(answer.verdict.token)
        else:
            tokens += answer.continuation.tokens
            passes += 1
    return tokens, passes


def alone(stub: TargetServiceStub, prompt: list[int], sampling: Sampling) -> list[int]:
    """The text without guesses, a token a pass."""
    stream = Stream(stub)
    stream.send(request(prompt, 0, sampling, judge_from=len(prompt), write_on=WRITE_ON))
    tokens, passes = written(stream.end())
    assert passes == WRITE_ON == len(tokens) - 1
    return prompt + tokens


def guessing(tree: GuessTree) -> wire.DecodeRequest:
    return wire.DecodeRequest(guesses=encode_guesses(tree))


def line(text: Sequence[int], tokens: Sequence[int]) -> GuessTree:
    return GuessTree(len(text), prefix.extend(0, text), tokens, range(TEXT, len(tokens) - 1), odds=[1.0] * len(tokens))


def forked(text: Sequence[int], tokens: Sequence[int]) -> GuessTree:
    """Wrong at every fourth token, with the right one as the second choice."""
    nodes, parents, odds, last = [], [], [], TEXT
    for i, token in enumerate(tokens):
        wrong = [token - 1 if token else 1] if i % 4 == 3 else []
        nodes += [*wrong, token]
        parents += [last] * (len(wrong) + 1)
        odds += [0.5] * 2 if wrong else [1.0]
        last = len(nodes) - 1
    return GuessTree(len(text), prefix.extend(0, text), nodes, parents, odds=odds)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_guesses_that_are_there_save_passes(stub, prompts, sampling):
    for prompt in prompts:
        truth = alone(stub, prompt, sampling)
        known = truth[: len(prompt) + 1]
        for tree, most in (
            (line(known, truth[len(known) :]), WRITE_ON / LEAST + 1),
            (forked(known, truth[len(known) :]), WRITE_ON / LEAST + 3),
        ):
            stream = Stream(stub)
            stream.send(request(prompt, 0, sampling, judge_from=len(prompt)))
            stream.send(guessing(tree), 2)
            # It is read after the guesses, and says again what the first one was answered.
            stream.send(request(prompt, len(prompt), sampling, judge_from=len(prompt), write_on=WRITE_ON), 3)
            tokens, passes = written(answer for answer in stream.end() if answer.request_id == 3)
            assert tokens == truth[len(prompt) :]
            assert passes <= most


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_guesses_that_come_while_it_writes(stub, prompts, sampling):
    """Behind every message that was heard, right ones or wrong ones."""
    for prompt in prompts:
        truth = alone(stub, prompt, sampling)
        for is_right in (True, False):
            stream, answers = Stream(stub), []
            stream.send(request(prompt, 0, sampling, judge_from=len(prompt), write_on=WRITE_ON))
            while not answers or not answers[-1].continuation.done:
                answers.append(stream.hear())
                text = prompt + written(answers)[0]
                if rest := truth[len(text) :]:
                    stream.send(guessing(line(text, rest if is_right else [1, 2, 3])), len(answers) + 1)
            assert stream.end() == []
            tokens, passes = written(answers)
            assert prompt + tokens == truth
            assert (passes < WRITE_ON) == is_right
