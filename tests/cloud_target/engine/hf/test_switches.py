"""How long a text must be to show everything that a model computes, and what follows where that is too long."""

from __future__ import annotations

import torch
from transformers import GPT2Config, MistralConfig, Phi3Config, Qwen2Config

from cloud_target.engine.hf.switches import LEAST, bearable_length, growing_from, switches, trial_length, tried_context

CPU = torch.device("cpu")
LONGROPE = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}


def test_windows_and_rotations_are_switches():
    assert switches(MistralConfig(sliding_window=100), 4096) == [100]
    assert switches(MistralConfig(sliding_window=100), 100) == []
    assert switches(GPT2Config(), 4096) == []
    llama3 = {"rope_type": "llama3", "original_max_position_embeddings": 500, "factor": 2.0}
    llama3 |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    assert 500 in switches(Qwen2Config(rope_scaling=llama3), 4096)


def test_a_trial_passes_every_switch():
    config = MistralConfig(sliding_window=100)
    assert 100 < trial_length(config, 4096, 10**6, CPU) < 200
    assert trial_length(config, 120, 10**6, CPU) == 120
    assert trial_length(GPT2Config(), 1024, 10**8, CPU) == LEAST


def test_a_switch_too_far_away_shortens_texts():
    config = MistralConfig(sliding_window=3000)
    tried = trial_length(config, 4096, 7 * 10**9, CPU)
    assert tried < 3000
    assert tried_context(config, 4096, tried) == 3000
    assert tried_context(config, 3000, tried) == 3000
    near = trial_length(config, 4096, 7 * 10**9, torch.device("cuda"))
    assert tried_context(config, 4096, near) == 4096


def test_a_text_is_as_long_as_its_scores_may_be():
    config = Qwen2Config(num_attention_heads=9)
    assert 12 * 9 * bearable_length(config, 10**6, CPU, 1 << 27) ** 2 <= 1 << 27
    assert 2 * bearable_length(config, 10**6, CPU, 1 << 27) < bearable_length(config, 10**6, CPU)


def test_rotations_that_grow_with_the_text():
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "pad_token_id": None}
    config = Phi3Config(
        **sizes, rope_scaling=LONGROPE, original_max_position_embeddings=64, max_position_embeddings=256
    )
    assert growing_from(config) == 64
    assert growing_from(GPT2Config()) is None
