"""What passes cost on this device, found out by running some: it decides what shares a call, and the size of chunks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cloud_target.engine.hf.costs import seconds
from cloud_target.engine.hf.passes import Passes, Text

# Fewest tokens of a chunk of a long feed: with fewer a prompt takes too many passes.
SMALLEST_CHUNK = 16
# Most tokens of one: with more its activations take too much memory.
LARGEST_CHUNK = 512
# Tokens of the longer pass that is measured.
_LONG = 256


@dataclass(frozen=True)
class Measured:
    """What passes take here.

    Attributes:
        step: seconds of one over a single token.
        chunk: how many tokens cost about as much as a pass costs anyway: the size of a chunk.
    """

    step: float
    chunk: int


@torch.inference_mode()
def measure(passes: Passes, context: int) -> Measured:
    """Measure passes, and let them know their costs.

    Args:
        passes: used with slot 0, which is empty afterwards.
        context: longest text in tokens.
    """
    long = min(context, _LONG)

    def pass_over(tokens: int) -> float:
        return seconds(lambda: passes.run([Text(0, 0, [0] * tokens)], [1]), passes.device)

    call, whole = pass_over(1), pass_over(long)
    token = max(whole - call, 1e-3 * call) / long
    passes.learn_costs(call, token, long)
    passes.trim(0)
    return Measured(call, min(max(round(call / token), SMALLEST_CHUNK), LARGEST_CHUNK))
