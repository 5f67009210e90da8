"""Which models cannot be served, and why."""

from __future__ import annotations

import pytest
from transformers import BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import make_tokenizer, write_checkpoint


def test_a_state_space_model_is_refused(tmp_path):
    config = MambaConfig(vocab_size=48, hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=None)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="MambaForCausalLM cannot be a target: it keeps a recurrent state"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_a_model_that_counts_positions_itself_is_refused(tmp_path):
    BloomForCausalLM(BloomConfig(vocab_size=48, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="counts positions by itself"):
        TargetEngine(load_target(str(tmp_path), "cpu"))


def test_a_model_that_differs_with_a_cache_is_refused(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path)), "cpu")
    forward = target.model.model.forward

    def forgetful(*args: object, past_key_values: object = None, **kwargs: object) -> object:
        return forward(*args, past_key_values=past_key_values, **kwargs | {"position_ids": None})

    target.model.model.forward = forgetful
    with pytest.raises(InputError, match=r"something else with a cache|does not run with a cache"):
        TargetEngine(target)
