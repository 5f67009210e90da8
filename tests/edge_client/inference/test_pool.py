"""The models of a bundle, as texts borrow them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.decoding.drafter import Drafter
from shared.config import Criterion, Sampling
from shared.sampling import Sampler


@pytest.mark.slow
@pytest.mark.parametrize("criterion", list(Criterion))
def test_what_is_drawn_hotter_than_anything_calibrated_is_doubted_the_more(criterion):
    """At temperature 10 hardly a token is the target's, and a head that was never shown that must not trust it."""
    bundle = Bundle.load(POCKET)
    medians = []
    for temperature in (1.0, 2.0, 3.0, 5.0, 10.0):
        with bundle.models.lend() as models:
            sampler = Sampler(Sampling(temperature=temperature, top_p=1.0))
            drafter = Drafter(models.draft, sampler, models.verifier, criterion)
            text, doubts = list(bundle.encode("Once upon a time")), []
            for _ in range(60):
                proposal = drafter.propose(text)
                text.append(proposal.token)
                doubts.append(proposal.doubt)
        medians.append(float(np.median(doubts)))
    assert min(medians[1:]) > medians[0]
    assert medians[-1] > 0.4
