"""The same on a CUDA device: the hash bit for bit, and a text within rounding."""

from __future__ import annotations

import pytest
import torch

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.hf.passes import Text
from cloud_target.engine.interface import Feed
from cloud_target.engine.scoring import noise
from shared.config import Sampling
from shared.noise import DRAW
from tests.cloud_target.engine.checkpoints import write_checkpoint

pytestmark = pytest.mark.gpu


def test_noise_is_bit_equal():
    ids = torch.arange(200_000)
    pairs = [(2**64 - 1, 5), (7, 2**20)]
    here, there = (noise.keys(pairs, DRAW, torch.device(place)) for place in ("cpu", "cuda"))
    assert torch.equal(noise.bits(here[:, None], ids), noise.bits(there[:, None], ids.cuda()).cpu())
    assert torch.equal(noise.uniform(here[:, None], ids), noise.uniform(there[:, None], ids.cuda()).cpu())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.5)])
def test_logits_and_scores(tmp_path, dtype, tolerance):
    directory = str(write_checkpoint(tmp_path))
    here, there = (TargetEngine(load_target(directory, *how)) for how in (("cpu", "float32"), ("cuda", dtype)))
    texts = [Text(0, 0, [1, 2, 3, 4, 5]), Text(2, 0, [6, 7])]
    expected, found = here.passes.run(texts, [5, 1]), there.passes.run(texts, [5, 1]).cpu()
    assert found.dtype is torch.float32
    memory, none = there.vitals(), here.vitals()
    assert 0 < memory.allocated <= memory.reserved
    assert (none.allocated, none.reserved) == (None, None)
    assert torch.allclose(found, expected, atol=tolerance)
    for past in range(9):  # masks are windows into one, so they begin anywhere
        more = [Text(0, past, [1, 2, 3])]
        assert torch.allclose(there.passes.run(more, [3]).cpu(), here.passes.run(more, [3]), atol=tolerance)
    feed = Feed(0, 3, (4, 9, 9, 1), 0, Sampling(0.8, 0, 0.9, 3))
    if dtype == "float32":
        assert there.forward([feed])[0].own.tolist() == here.forward([feed])[0].own.tolist()
