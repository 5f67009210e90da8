"""What a request costs its tenant, and what is told of it."""

from __future__ import annotations

import pytest

from cloud_target.access.quotas import Quota, Usage
from cloud_target.engine.interface import Feed
from cloud_target.protocol.requests import Limits, Request, parse_request, parse_terms
from cloud_target.server.tally import Tally
from cloud_target.telemetry.observer import Observer
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import request

LIMITS = Limits(vocabulary=10, context=99, max_request_tokens=99)
PROMPT = [1, 2, 3]


class Ear(Observer):
    def __init__(self) -> None:
        self.heard: list[tuple | str] = []

    def answered(self, *told: object) -> None:
        self.heard.append(told[:4])

    def first_verdict(self, seconds: float) -> None:
        assert seconds >= 0
        self.heard.append("first")

    def guessed(self, *told: object) -> None:
        self.heard.append(told)


class Spent(Usage):
    spent = 0

    def spend(self, tokens: int) -> None:
        self.spent += tokens


def a_request() -> Request:
    message = request(PROMPT, 0, Sampling(), judge_from=3, write_on=20)
    return parse_request(message, parse_terms(message, LIMITS), LIMITS)


@pytest.mark.parametrize("cuts", [[1] * 12, [5, 1, 6], [9, 3]])
def test_a_text_costs_the_same_however_many_tokens_a_pass_gives(cuts):
    """Three tokens are read and thirteen written, wrong guesses and all."""
    usage, ear = Spent("acme", Quota()), Ear()
    with Tally(a_request(), usage, ear, 0.0) as tally:
        tally.begun(Feed(0, 0, (1, 2, 3), 2, Sampling()))
        tally.count(wire.DecodeResponse(verdict=wire.Verdict(token=1)))
        for tokens in cuts:
            feed = Feed(0, 3, (1,) * 9, 0, Sampling(), spare=8)
            tally.begun(feed)
            tally.judged(feed.spare)
            tally.count(wire.DecodeResponse(continuation=wire.Continuation(tokens=[1] * tokens)))
    assert usage.spent == 3 + 13
    assert ear.heard == [("acme", "continuation", 3, 13), ("acme", 8 * len(cuts), 12 - len(cuts))]


@pytest.mark.parametrize("is_first", [True, False])
def test_only_the_first_verdict_of_a_stream_is_told_of(is_first):
    ear = Ear()
    with Tally(a_request(), Spent("acme", Quota()), ear, 0.0, is_first) as tally:
        assert not tally.has_verdict
        tally.count(wire.DecodeResponse(verdict=wire.Verdict(token=1)))
        tally.count(wire.DecodeResponse(continuation=wire.Continuation(tokens=[1])))
        assert tally.has_verdict
    assert ear.heard.count("first") == is_first
    with Tally(a_request(), Spent("acme", Quota()), ear, 0.0, True) as stale:
        stale.count(wire.DecodeResponse(stale=wire.Stale()))
    assert not stale.has_verdict
    assert ear.heard.count("first") == is_first


def test_without_guesses_nothing_is_told_of_them():
    ear = Ear()
    with Tally(a_request(), Spent("acme", Quota()), ear, 0.0) as tally:
        tally.judged(0)
        tally.count(wire.DecodeResponse(continuation=wire.Continuation(position=4, done=True)))
    assert ear.heard == [("acme", "continuation", 3, 0)]


def test_a_question_that_was_read_ahead_costs_as_much():
    usage, ear = Spent("acme", Quota()), Ear()
    with Tally(a_request(), usage, ear, 0.0) as tally:
        tally.count(wire.DecodeResponse(verdict=wire.Verdict(token=1)))
    assert usage.spent == 3 + 1
    assert ear.heard == [("acme", "verdict", 3, 1)]
