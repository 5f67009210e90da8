"""What a checkpoint truly computes: transformers' own plain forward pass, and how far another way is from it."""

from __future__ import annotations

import copy

import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf.context import longest_text
from cloud_target.engine.hf.switches import LEAST, trial_length
from cloud_target.engine.hf.typed import only_logits, token_embeddings

# Largest distance from the truth: sums in another order, in numbers of so many digits.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
# Positions at the end of a text that are compared; all that came before has its part in them.
COMPARED = 128
# Positions that are averaged over: rounding scatters, and a mistake does not.
_BLOCK = 16


def plain(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its own eager attention, which obeys every setting of a checkpoint; it shares the weights.

    It is the same object where attention can be exchanged, and then stays eager until it is.
    """
    if model.config._attn_implementation == "eager":
        return model
    if model._can_set_attn_implementation():
        model.set_attn_implementation("eager")
        return model
    # Architectures that choose a class for their attention when they are made: make another, and give it all tensors.
    config = copy.deepcopy(model.config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        twin = type(model)(config)
    twin.set_output_embeddings(model.get_output_embeddings())
    for ours, theirs in zip(twin.modules(), model.modules(), strict=True):
        ours._parameters, ours._buffers = theirs._parameters, theirs._buffers
        vars(ours).update({name: value for name, value in vars(theirs).items() if isinstance(value, torch.Tensor)})
    return twin.eval()


def fuse(model: PreTrainedModel) -> None:
    """Let an eager model attend in the fused way, which is several times faster, where that computes the same."""
    if not model._supports_sdpa or not model._can_set_attn_implementation():
        return
    context, vocabulary = longest_text(model.config) or LEAST, token_embeddings(model).shape[0]
    text = trial_text(trial_length(model.config, context, model.num_parameters(), model.device), vocabulary)
    truth = alone(model, text, vocabulary)
    model.set_attn_implementation("sdpa")
    if not distance(alone(model, text, vocabulary), truth) <= TOLERANCE.get(model.dtype, 0.05):
        model.set_attn_implementation("eager")


def trial_text(count: int, vocabulary: int) -> list[int]:
    """Token ids from all over the vocabulary."""
    return [(17 + 7919 * i * i) % vocabulary for i in range(count)]


@torch.inference_mode()
def alone(model: PreTrainedModel, tokens: list[int], vocabulary: int, keep: int = COMPARED) -> torch.Tensor:
    """The model's logits of the last positions of a text, read whole and without a cache, ``float32 [N, vocabulary]``;
    N is at most `keep`."""
    keep = min(len(tokens), keep)
    ids = torch.tensor([tokens], device=model.device)
    return model(input_ids=ids, use_cache=False, **only_logits(model, keep)).logits[0, -keep:, :vocabulary].float()


def distance(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """The largest total variation distance of next-token distributions, in the mean over some neighbours."""
    each = 0.5 * (logits.softmax(-1) - truth.softmax(-1)).abs().sum(-1)
    return max((block.mean().item() for block in each.split(_BLOCK) if len(block)), default=0.0)
