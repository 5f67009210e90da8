"""Which tokens end a text, and what is said of a configuration that does not say."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models
from transformers import PretrainedConfig

from cloud_target.export.endings import end_ids
from shared.errors import InputError

TOKENIZER = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<|endoftext|>": 2}, unk_token="a"))


def test_texts_end_with_what_any_configuration_says_and_by_name():
    configs = [PretrainedConfig(eos_token_id=[1, 7]), PretrainedConfig(eos_token_id=0), PretrainedConfig()]
    assert end_ids(configs, TOKENIZER) == [0, 1, 2]
    assert end_ids([PretrainedConfig(eos_token_id=[-1, 10**12])], TOKENIZER) == [2]


@pytest.mark.parametrize("said", ["</s>", ["</s>"], [[1]], 1.0, True])
def test_an_end_that_is_no_token_id_is_refused(said):
    config = PretrainedConfig()
    config.__dict__["eos_token_id"] = said
    with pytest.raises(InputError, match="is no token id; correct eos_token_id"):
        end_ids([config], TOKENIZER)
