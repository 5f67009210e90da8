"""Which models cannot be served, and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    BigBirdConfig,
    BigBirdForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    PreTrainedModel,
    StableLmConfig,
    StableLmForCausalLM,
)

from cloud_target.engine.hf import trial
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.hf.passes import Text
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import VOCABULARY, make_tokenizer, write_checkpoint

SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
WIDTHS = SIZES | {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256}
WINDOW = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 70}
MIXTURE = {"num_local_experts": 4, "num_experts_per_tok": 2}
# Whatever some way of running a model leaves out, here it matters.
PECULIAR = {
    "scores divided by layer": GPT2LMHeadModel(
        GPT2Config(**SIZES, n_positions=256, scale_attn_by_inverse_layer_idx=True)
    ),
    "scores not scaled": GPT2LMHeadModel(GPT2Config(**SIZES, n_positions=256, scale_attn_weights=False)),
    "soft cap": Gemma2ForCausalLM(Gemma2Config(**WIDTHS, sliding_window=70, attn_logit_softcapping=2.0)),
    "soft cap as shipped": Gemma2ForCausalLM(Gemma2Config(**WIDTHS, sliding_window=70)),
    "sinks": GptOssForCausalLM(GptOssConfig(**WIDTHS, **WINDOW, **MIXTURE)),
    "a window": MistralForCausalLM(MistralConfig(**WIDTHS, sliding_window=70)),
    "attention chosen by class": StableLmForCausalLM(
        StableLmConfig(**{key: value for key, value in WIDTHS.items() if key != "head_dim"}, partial_rotary_factor=0.5)
    ),
}


def save(model: PreTrainedModel, directory: Path) -> Path:
    """A checkpoint with weights large enough that everything matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_((0.2 if weight.dim() > 1 else 0.1) * torch.randn_like(weight))
    model.save_pretrained(directory)
    make_tokenizer().save(str(directory / "tokenizer.json"))
    return directory


def eagerly(directory: Path, text: list[int]) -> torch.Tensor:
    """What transformers itself says."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([text]), use_cache=False).logits[0, :, :VOCABULARY]


@pytest.mark.parametrize("what", PECULIAR)
def test_a_target_computes_what_its_checkpoint_computes(tmp_path, what):
    engine = TargetEngine(load_target(str(save(PECULIAR[what], tmp_path)), "cpu"), 8 << 20)
    text = np.random.default_rng(0).integers(0, VOCABULARY, 150).tolist()
    got = [engine.passes.run([Text(0, 0, text[:100]), Text(1, 0, text[:9])], [100, 0])]
    got += [engine.passes.run([Text(0, i, [text[i]])], [1]) for i in range(100, 150)]
    assert trial.distance(torch.cat(got), eagerly(tmp_path, text)) < 1e-5


def test_a_model_that_reads_ahead_is_refused(tmp_path):
    save(BertLMHeadModel(BertConfig(**SIZES, intermediate_size=48)), tmp_path)
    with pytest.raises(InputError, match=r"depends on what comes after, so it is not made to write; take a decoder$"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_what_to_do_fits_the_reason(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    head = target.model.get_output_embeddings().weight
    with torch.no_grad():
        head.mul_(torch.finfo(torch.float32).max)
    with pytest.raises(InputError, match=r"its logits in float32 are not numbers; get it again, whole$"):
        TargetEngine(target, 8 << 20)


def test_a_model_without_a_cache_is_refused(tmp_path):
    save(OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=2)), tmp_path)
    with pytest.raises(InputError, match="OpenAIGPTLMHeadModel cannot be a target: it keeps no keys and values"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_a_state_space_model_is_refused(tmp_path):
    config = MambaConfig(vocab_size=48, hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=None)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="MambaForCausalLM cannot be a target: it keeps a recurrent state"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_a_model_that_looks_at_parts_of_long_texts_is_refused(tmp_path):
    """It does so beyond 11 blocks only: of a shorter text it computes what any other model does."""
    config = BigBirdConfig(**SIZES, intermediate_size=48, max_position_embeddings=2048, is_decoder=True)
    directory = save(BigBirdForCausalLM(config), tmp_path)
    with pytest.raises(InputError, match="cannot be a target: it attends to parts of a long text only"):
        TargetEngine(load_target(str(directory), "cpu"), 64 << 20)


def test_a_model_that_counts_positions_itself_is_refused(tmp_path):
    BloomForCausalLM(BloomConfig(vocab_size=48, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="counts positions by itself"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_a_model_that_differs_with_a_cache_is_refused(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    forward = target.model.model.forward

    def forgetful(*args: object, **kwargs: object) -> object:
        return forward(*args, **kwargs | {"position_ids": None})

    target.model.model.forward = forgetful
    with pytest.raises(InputError, match="with a cache it computes something else"):
        TargetEngine(target)
