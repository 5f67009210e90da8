"""A target whose audits are always the same, whatever was written: the threshold stays in bounds, the text gets on."""

from __future__ import annotations

import pytest

from edge_client.decoding.generation import Settings
from edge_client.promise.budget import HIGHEST
from shared.config import Criterion
from shared.wire.v1 import target_pb2 as wire
from tests.fakes import fake_cloud, fake_device
from tests.support import LoopbackLink, LoopbackTransport, client_of


class OpinionatedLink(LoopbackLink):
    """Every audited token is off-target, or none."""

    is_off = True

    def receive(self, timeout: float) -> wire.DecodeResponse:
        answer = super().receive(timeout)
        audit = answer.verdict.audit
        if answer.WhichOneof("answer") == "verdict" and len(audit.nll):
            size = len(audit.off_strict)
            whole = (1 << len(audit.nll)) - 1 if self.is_off else 0
            audit.off_strict = audit.off_typical = whole.to_bytes(size, "little")
        return answer


class LenientLink(OpinionatedLink):
    is_off = False


class OpinionatedTransport(LoopbackTransport):
    def __init__(self, kind: type[OpinionatedLink]) -> None:
        super().__init__(fake_cloud())
        self._kind = kind

    def open(self) -> LoopbackLink:
        return self._kind(self.cloud)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", list(Criterion))
@pytest.mark.parametrize("kind", [OpinionatedLink, LenientLink])
def test_a_target_with_one_opinion_cannot_run_the_threshold_away(kind, criterion):
    device, client = fake_device(), client_of(OpinionatedTransport(kind))
    settings = Settings(budget=0.05, criterion=criterion, max_tokens=60)
    budget = device.budget(settings, client)
    accepted = asked = 0
    for text in range(20):
        generation = device.generate([1, 2, 3], settings, client, budget)
        assert len(list(generation)) == 60
        assert -1 <= budget.threshold <= HIGHEST + 1e-9
        if text >= 10:
            accepted += generation.summary.accepted
            asked += generation.summary.asked
    if kind is OpinionatedLink:
        assert accepted <= settings.budget * 600
    else:
        assert asked == 0
