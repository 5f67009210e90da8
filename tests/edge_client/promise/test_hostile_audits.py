"""A target whose verdicts are always the same, whatever was written: the text gets on, and the account is kept."""

from __future__ import annotations

import pytest

from edge_client.decoding.questions import WINDOWS_AHEAD
from edge_client.testing import LoopbackLink, LoopbackTransport
from shared.config import Criterion
from shared.steering.ledger import AIM, most_debt, most_errors
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.scripted_device import fake_cloud, fake_edge


class OpinionatedLink(LoopbackLink):
    """Every audited token is off-target, or none."""

    is_off = True

    def receive(self, timeout: float) -> wire.DecodeResponse:
        answer = super().receive(timeout)
        audit = answer.verdict.audit
        if answer.WhichOneof("answer") == "verdict" and len(audit.nll):
            size = len(audit.off_strict)
            whole = (1 << len(audit.nll)) - 1 if self.is_off else 0
            audit.off_strict = audit.unlikely = whole.to_bytes(size, "little")
            answer.verdict.fallen_unlikely = self.is_off
        return answer


class LenientLink(OpinionatedLink):
    is_off = False


class OpinionatedTransport(LoopbackTransport):
    def __init__(self, kind: type[OpinionatedLink]) -> None:
        super().__init__(fake_cloud())
        self._kind = kind

    def open(self) -> LoopbackLink:
        return self._kind(self.service)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", list(Criterion))
@pytest.mark.parametrize("kind", [OpinionatedLink, LenientLink])
def test_a_target_with_one_opinion_cannot_run_the_threshold_away(kind, criterion):
    budget = 0.05
    accepted = asked = off_target = 0
    with fake_edge(OpinionatedTransport(kind), budget=budget, criterion=criterion, max_tokens=60) as edge:
        for text in range(20):
            usage = edge.generate([1, 2, 3]).usage
            assert usage.tokens == 60
            assert 0 <= usage.threshold <= 1
            off_target += usage.audit.off(criterion)
            if text >= 10:
                accepted += usage.accepted
                asked += usage.audit.asked
    if kind is OpinionatedLink:
        assert accepted <= AIM * budget * 600 + most_debt(budget)
        assert off_target <= most_errors(budget, 1200) + WINDOWS_AHEAD * edge.settings.effective_window
    else:
        assert off_target == 0
        # By `strict` an asked token that falls is an error, whatever the target says of those that were shown.
        assert asked == 0 or criterion is Criterion.STRICT
