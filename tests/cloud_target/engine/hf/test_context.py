"""The length of texts is the configuration's, somebody's, or a refusal; and never past what is right."""

from __future__ import annotations

import pytest
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MptConfig,
    MptForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from cloud_target.engine.hf.context import USUAL, choose_context, longest_text, name_length
from shared.errors import InputError

SIZES = {"vocab_size": 48, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
LONGROPE = {"type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}


def mpt() -> MptForCausalLM:
    return MptForCausalLM(MptConfig(vocab_size=48, d_model=32, n_layers=1, n_heads=2, max_seq_len=99))


def bloom() -> BloomForCausalLM:
    return BloomForCausalLM(BloomConfig(vocab_size=48, hidden_size=32, n_layer=1, n_head=2))


def test_the_length_of_texts_has_many_names_and_is_never_made_up():
    assert longest_text(LlamaConfig(max_position_embeddings=77)) == 77
    assert longest_text(MptConfig(max_seq_len=99)) == 99
    assert longest_text(BloomConfig()) is None
    assert choose_context(mpt(), None, "mpt", print) == 99
    assert choose_context(bloom(), 50, "bloom", print) == 50
    with pytest.raises(InputError, match="configuration of bloom does not say how long a text may be; give --context"):
        choose_context(bloom(), None, "bloom", print)
    with pytest.raises(InputError, match="must be 2 tokens or more, not 1"):
        choose_context(bloom(), 1, "bloom", print)
    with pytest.raises(InputError, match="must be between 2 and mpt's own 99 tokens, not 100"):
        choose_context(mpt(), 100, "mpt", print)


def test_a_length_goes_by_one_name_even_where_that_says_nothing():
    for model in (mpt(), LlamaForCausalLM(LlamaConfig(**SIZES))):
        if hasattr(model.config, "max_position_embeddings"):
            # Past the setter: transformers 5 takes no null there.
            vars(model.config).update(max_position_embeddings=None, n_positions=99)
        name_length(model, "a model")
        assert model.config.max_position_embeddings == 99
    with pytest.raises(InputError, match=r"config\.json of bloom does not say how long a text may be"):
        name_length(bloom(), "bloom")


def test_more_than_usual_must_be_asked_for():
    long = LlamaForCausalLM(LlamaConfig(**SIZES, max_position_embeddings=2 * USUAL))
    assert choose_context(long, None, "llama", print) == USUAL
    assert choose_context(long, 2 * USUAL, "llama", print) == 2 * USUAL


def test_texts_end_where_they_would_be_computed_in_another_way():
    sizes = SIZES | {"max_position_embeddings": 256, "pad_token_id": None}
    config = Phi3Config(**sizes, rope_scaling=LONGROPE, original_max_position_embeddings=64)
    model, told = Phi3ForCausalLM(config), []
    assert choose_context(model, None, "phi3", told.append) == 64
    assert told == ["texts have at most 64 tokens, not 256: longer ones are computed in another way"]
    with pytest.raises(InputError, match=r"beyond 64 tokens phi3 rotates positions .*; give --context 64$"):
        choose_context(model, 65, "phi3", print)


def test_a_window_that_cannot_be_tried_ends_texts_too(monkeypatch):
    monkeypatch.setattr(MistralForCausalLM, "num_parameters", lambda _: 10**11)
    model = MistralForCausalLM(MistralConfig(**SIZES, max_position_embeddings=256, sliding_window=70))
    assert choose_context(model, None, "mistral", print) == 70
    with pytest.raises(InputError, match=r"beyond 70 tokens .* no more than 48 can be tried here; give --context 70$"):
        choose_context(model, 256, "mistral", print)
