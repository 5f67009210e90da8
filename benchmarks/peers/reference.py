"""What the target writes alone, by transformers: the text that others are held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM

from benchmarks.peers.systems import Pair, Prompt

# Systems that take a few tokens at a time may write more than they were asked for.
SPARE = 64


def references(pair: Pair, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Greedy search in float32 with eager attention, on one thread: ids of a text a prompt, and some more of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            pair.target, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        ).eval()
        texts = []
        for prompt in prompts:
            ids = torch.tensor([list(prompt.ids)])
            text = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=pair.tokens + SPARE,
                eos_token_id=list(pair.end_ids),
                pad_token_id=pair.end_ids[0],
            )
            texts.append(text[0, ids.shape[1] :].tolist())
        return texts
    finally:
        torch.set_num_threads(threads)
