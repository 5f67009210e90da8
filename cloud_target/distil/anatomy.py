"""Where the weights of a decoder lie that meet its residual stream: what adds to it, what reads it, and its norms."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from transformers import PretrainedConfig

from shared.errors import InputError

# Neurons are kept by so many: products in narrow numbers take their inputs by blocks of as many.
_NEURONS_AT_ONCE = 32
_OTHERWISE = "cut it with --layers alone, or give a smaller model of the family with --from"


@dataclass(frozen=True)
class Branch:
    """What a layer does beside its stream: it reads it through a norm, and adds something to it.

    Attributes:
        norm: that it reads through.
        readers: the products behind the norm, each with what its outputs are, part by part: "q", "k" and "v" for all
            queries, keys and values, "n" for all neurons.
        writer: the product whose outputs are added.
        behind: a norm between the writer and the sum, if there is one.
    """

    norm: str
    readers: tuple[tuple[str, str], ...]
    writer: str
    behind: str | None = None


@dataclass(frozen=True)
class Anatomy:
    """A kind of decoder; modules have their names in the model, or those in a layer.

    Attributes:
        embeddings: tables whose rows are added up to the stream that the first layer is given.
        layers: the list of all layers.
        attention, feed_forward: of a layer.
        norm: the last one, that the head reads through.
        untouched: weights of a layer that do not meet the stream.
        neurons, epsilon: what the configuration calls the number of a layer's neurons, and what norms add to a mean
            square.
        offset: what a norm's gain is beside its weight.
        grows: embeddings are multiplied by the square root of the width.
        centred: norms take the mean away first (LayerNorm), and have a bias.
        transposed: products hold their weights as ``[inputs, outputs]``.
        whole: heads are as many as fill the stream.
    """

    embeddings: tuple[str, ...]
    layers: str
    attention: Branch
    feed_forward: Branch
    norm: str
    untouched: tuple[str, ...] = ()
    neurons: str = "intermediate_size"
    epsilon: str = "rms_norm_eps"
    offset: float = 0.0
    grows: bool = False
    centred: bool = False
    transposed: bool = False
    whole: bool = False


_APART = (("self_attn.q_proj", "q"), ("self_attn.k_proj", "k"), ("self_attn.v_proj", "v"))
_GATED = (("mlp.gate_proj", "n"), ("mlp.up_proj", "n"))
_HEAD_NORMS = ("self_attn.q_norm.weight", "self_attn.k_norm.weight")


def _like_llama(
    attention: tuple[tuple[str, str], ...] = _APART,
    feed_forward: tuple[tuple[str, str], ...] = _GATED,
    untouched: tuple[str, ...] = (),
) -> Anatomy:
    return Anatomy(
        embeddings=("model.embed_tokens",),
        layers="model.layers",
        attention=Branch("input_layernorm", attention, "self_attn.o_proj"),
        feed_forward=Branch("post_attention_layernorm", feed_forward, "mlp.down_proj"),
        norm="model.norm",
        untouched=untouched,
    )


_GEMMA3 = Anatomy(
    embeddings=("model.embed_tokens",),
    layers="model.layers",
    attention=Branch("input_layernorm", _APART, "self_attn.o_proj", "post_attention_layernorm"),
    feed_forward=Branch("pre_feedforward_layernorm", _GATED, "mlp.down_proj", "post_feedforward_layernorm"),
    norm="model.norm",
    untouched=_HEAD_NORMS,
    offset=1.0,
    grows=True,
)
_GPT2 = Anatomy(
    embeddings=("transformer.wte", "transformer.wpe"),
    layers="transformer.h",
    attention=Branch("ln_1", (("attn.c_attn", "qkv"),), "attn.c_proj"),
    feed_forward=Branch("ln_2", (("mlp.c_fc", "n"),), "mlp.c_proj"),
    norm="transformer.ln_f",
    neurons="n_inner",
    epsilon="layer_norm_epsilon",
    centred=True,
    transposed=True,
    whole=True,
)
_KINDS = {
    "llama": _like_llama(),
    "mistral": _like_llama(),
    "qwen2": _like_llama(),
    "qwen3": _like_llama(untouched=_HEAD_NORMS),
    "smollm3": _like_llama(),
    "phi3": _like_llama((("self_attn.qkv_proj", "qkv"),), (("mlp.gate_up_proj", "nn"),)),
    "gemma3_text": _GEMMA3,
    "gpt2": _GPT2,
}


@dataclass(frozen=True)
class Sizes:
    """Of a decoder.

    Attributes:
        hidden: numbers in its residual stream.
        heads, groups: of queries, and of keys and values; each of the latter serves as many of the former.
        head: numbers in a head.
        neurons: of a layer.
    """

    hidden: int
    heads: int
    groups: int
    head: int
    neurons: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> Sizes:
        """As a configuration has them."""
        heads, hidden = config.num_attention_heads, config.hidden_size
        return cls(
            hidden,
            heads,
            getattr(config, "num_key_value_heads", None) or heads,
            getattr(config, "head_dim", None) or hidden // heads,
            getattr(config, anatomy_of(config).neurons, None) or 4 * hidden,
        )

    def narrowed(self, hidden: int) -> Sizes:
        """Of a model with `hidden` numbers in its stream, and heads and neurons in proportion, rounded up; heads that
        share keys and values go together."""
        groups = -(-self.groups * hidden // self.hidden)
        neurons = -(-self.neurons * hidden // self.hidden)
        neurons = min(self.neurons, -(-neurons // _NEURONS_AT_ONCE) * _NEURONS_AT_ONCE)
        return Sizes(hidden, self.heads // self.groups * groups, groups, self.head, neurons)


def anatomy_of(config: PretrainedConfig) -> Anatomy:
    """Where the weights lie of models that are configured so.

    Raises:
        InputError: it is not known.
    """
    found = _KINDS.get(config.model_type)
    if found is None:
        raise InputError(
            f"a {config.model_type} cannot be made narrower, only a {', '.join(list(_KINDS)[:-1])} or "
            f"{list(_KINDS)[-1]} can; {_OTHERWISE}"
        )
    return found


def check_hidden(config: PretrainedConfig, hidden: int, name: str) -> None:
    """See that a model can be made so narrow.

    Args:
        config: of the model.
        hidden: numbers that its stream is to have.
        name: of the model, for people.

    Raises:
        InputError: it cannot; the message says what can be had.
    """
    anatomy, sizes = anatomy_of(config), Sizes.of(config)
    if not 0 < hidden < sizes.hidden:
        raise InputError(
            f"the residual stream of {name} is {sizes.hidden} numbers wide, of which a draft can keep from 1 to "
            f"{sizes.hidden - 1}, not {hidden}"
        )
    # What the longrope of a Phi-3 knows of the size of a head is the width by the number of heads.
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    counted = anatomy.whole or (config.model_type == "phi3" and "longrope" in rope.values())
    if counted and sizes.groups * hidden % sizes.hidden:
        least = sizes.hidden // math.gcd(sizes.hidden, sizes.groups)
        raise InputError(
            f"{name} is a {config.model_type} whose heads fill its width, so a draft of it can be {least} numbers wide "
            f"or a multiple of that, not {hidden}"
        )


def narrowed(config: PretrainedConfig, sizes: Sizes) -> PretrainedConfig:
    """The configuration of a model of these sizes, otherwise the same; its head has a table of its own.

    Raises:
        ValueError: transformers knows no such model.
    """
    anatomy, wide, config = anatomy_of(config), config.hidden_size, copy.deepcopy(config)
    config.hidden_size, config.num_attention_heads = sizes.hidden, sizes.heads
    # The mean square of fewer numbers that carry as much is larger.
    setattr(config, anatomy.epsilon, getattr(config, anatomy.epsilon) * wide / sizes.hidden)
    setattr(config, anatomy.neurons, sizes.neurons)
    if not anatomy.whole:
        config.num_key_value_heads, config.head_dim = sizes.groups, sizes.head
    config.tie_word_embeddings = False
    type(config).from_dict(config.to_dict())  # as it will be read, with transformers' own checks
    return config
