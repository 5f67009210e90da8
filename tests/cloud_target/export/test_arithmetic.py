"""A model in a narrow type is read in float32 as if its weights had been float32 all along, and is left as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from cloud_target.export.arithmetic import cut_to, in_float32
from cloud_target.export.check import probe_ids, reference
from cloud_target.export.precision import Precision
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build

IDS = probe_ids(VOCABULARY, CONTEXT)
MODELS = {
    "llama": ("llama", {}),
    "llama, untied, with biases": ("llama", {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
    "qwen2": ("qwen2", {}),
    "gpt2": ("gpt2", {}),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_narrow_weights_are_widened_while_they_are_used(name, dtype):
    kind, changes = MODELS[name]
    narrow = build(kind, **changes)
    for parameter in narrow.parameters():
        parameter.data = parameter.data.to(dtype)
    wide = copy.deepcopy(narrow).float()
    for found, truth in zip(reference(narrow, IDS), reference(wide, IDS), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, truth, atol=1e-5)
    assert {parameter.dtype for parameter in narrow.parameters()} == {dtype}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "precision", [Precision(), Precision("int4", 32, head="int8"), Precision(head="float32")], ids=str
)
def test_a_model_is_what_it_was_when_it_was_read_with_other_weights(name, precision):
    kind, changes = MODELS[name]
    model = build(kind, **changes)
    before = reference(model, IDS)[0]
    other = reference(model, IDS, stored=precision)[0]
    assert 1e-3 < np.abs(other - before).max() < 5 * before.std()
    np.testing.assert_array_equal(reference(model, IDS)[0], before)


def test_weights_come_back_where_a_pass_fails():
    model = build("llama")
    model.to(torch.bfloat16)
    kept = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    layer = model.model.layers[1].mlp.down_proj
    handle = layer.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), in_float32(model):
        model(input_ids=torch.tensor([IDS]))
    handle.remove()
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == kept


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_cut_model_is_the_smaller_one_for_a_while(kind):
    model, small = build(kind), build(kind, num_hidden_layers=1)
    names = small.state_dict().keys()
    small.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if name in names})
    before = reference(model, IDS)[0]
    with cut_to(model, 1) as cut:
        np.testing.assert_allclose(reference(cut, IDS)[0], reference(small, IDS)[0], atol=1e-6)
    np.testing.assert_array_equal(reference(model, IDS)[0], before)
    with cut_to(model, None) as whole:
        np.testing.assert_array_equal(reference(whole, IDS)[0], before)
