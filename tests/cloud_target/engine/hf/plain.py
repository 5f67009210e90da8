"""A model without a cache: what every pass is held against."""

from __future__ import annotations

import torch

from cloud_target.engine.hf.engine import TargetEngine
from tests.cloud_target.engine.checkpoints import VOCABULARY


def without_cache(engine: TargetEngine, text: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return engine.passes.model(input_ids=torch.tensor([text]), use_cache=False).logits[0, :, :VOCABULARY]
