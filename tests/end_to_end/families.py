"""Tiny random checkpoints of the families that people take, each with a tokenizer and a chat template of its kind."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LAYERS, CONTEXT, WINDOW = 3, 96, 24
# Of the tokenizers, about; models have some rows more, as theirs are rounded up.
_WORDS, _SPARE_ROWS = 320, 11
_NOUNS = "the cat a dog one bird my friend her robot an old ship this table rain".split()
_VERBS = "sees likes finds wants makes takes and then with under behind for two three".split()


def sentences(count: int, seed: int = 0) -> list[str]:
    """Small talk that a corpus may be made of."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(_NOUNS if i % 2 else _VERBS) for i in range(draw.randint(8, 24))) + "."
        for _ in range(count)
    ]


def _by_bytes(specials: list[str]) -> Tokenizer:
    """As GPT-2's: words of bytes, so that every text has ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_WORDS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences(200), trainer)
    tokenizer.add_special_tokens(specials)
    return tokenizer


def _by_pieces(specials: list[str]) -> Tokenizer:
    """As SentencePiece's: a sign for each space, and bytes for characters that it has no piece for."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    trained.train_from_iterator(sentences(200), trainers.BpeTrainer(vocab_size=60, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    merges = [tuple(pair) for pair in learned["merges"]]
    words = {piece: id for id, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(words, merges, unk_token=specials[0], fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(specials)
    return tokenizer


@dataclass(frozen=True)
class Family:
    """What a checkpoint of it is like.

    Attributes:
        prefix: of transformers' names for its configuration and model.
        make: its tokenizer, of its special tokens.
        specials: these; the first is for what it does not know.
        tokenizer_class: as its `tokenizer_config.json` names it.
        template: of its chats; none where it has none.
        ends: tokens that end its texts.
        begin: the token that begins them; none where there is none.
        options: of its configuration.
        model, config: the class names, where `prefix` does not make them.
    """

    prefix: str
    make: Callable[[list[str]], Tokenizer]
    specials: tuple[str, ...]
    tokenizer_class: str
    ends: tuple[str, ...]
    template: str = ""
    begin: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    config: str = ""

    def write(self, place: Path) -> Path:
        """A checkpoint of it in the directory `place`, as its makers publish them: in bfloat16, with padded rows."""
        tokenizer = self.make(list(self.specials))
        begin = tokenizer.token_to_id(self.begin) if self.begin else None
        if begin is not None:
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{self.begin} $A", special_tokens=[(self.begin, begin)]
            )
        ends = [tokenizer.token_to_id(end) for end in self.ends]
        names = self.model or f"{self.prefix}ForCausalLM", self.config or f"{self.prefix}Config"
        make_model, make_config = (getattr(transformers, name) for name in names)
        ids = {"bos_token_id": begin, "eos_token_id": ends[0], "pad_token_id": ends[0]}
        config = make_config(vocab_size=tokenizer.get_vocab_size() + _SPARE_ROWS, **ids, **self.options)
        torch.manual_seed(7)
        model = make_model(config)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(std=0.2)
        model.generation_config = transformers.GenerationConfig(**ids | {"eos_token_id": ends})
        model.to(torch.bfloat16).save_pretrained(place)
        tokenizer.save(str(place / "tokenizer.json"))
        told = {"tokenizer_class": self.tokenizer_class, "eos_token": self.ends[0], "pad_token": self.ends[0]}
        told |= {"bos_token": self.begin} if self.begin else {}
        told |= {"chat_template": self.template} if self.template else {}
        (place / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
        return place


_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
_GPT2 = {"n_embd": 64, "n_layer": LAYERS, "n_head": 4, "n_positions": CONTEXT}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_HEADERS = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' "
    "+ message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_THINKING = (
    "{% for message in messages %}{% set said = message['content'] %}{% if message['role'] == 'assistant' and "
    "'</think>' in said %}{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>' + "
    "message['role'] + '\n' + said + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
_TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + "
    "(first if loop.first else '') + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_TAGS = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
_MIXED = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "sliding_window": WINDOW}

FAMILIES = {
    "gpt2": Family(
        "GPT2", _by_bytes, ("<|endoftext|>",), "GPT2TokenizerFast", ("<|endoftext|>",), options=_GPT2,
        model="GPT2LMHeadModel",
    ),
    "llama": Family(
        "Llama",
        _by_bytes,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "PreTrainedTokenizerFast",
        ("<|eot_id|>", "<|end_of_text|>"),
        _HEADERS,
        "<|begin_of_text|>",
        _SIZES | {"rope_scaling": _LLAMA3_ROPE},
    ),
    "qwen2": Family(
        "Qwen2",
        _by_bytes,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        "Qwen2Tokenizer",
        ("<|im_end|>", "<|endoftext|>"),
        _CHATML,
        options=_SIZES | {"tie_word_embeddings": True, "sliding_window": CONTEXT, "max_window_layers": LAYERS},
    ),
    "qwen3": Family(
        "Qwen3",
        _by_bytes,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"),
        "Qwen2Tokenizer",
        ("<|im_end|>", "<|endoftext|>"),
        _THINKING,
        options=_SIZES | {"tie_word_embeddings": True, "head_dim": 16},
    ),
    "gemma3": Family(
        "Gemma3",
        _by_pieces,
        ("<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "GemmaTokenizerFast",
        ("<end_of_turn>", "<eos>"),
        _TURNS,
        "<bos>",
        _SIZES | _MIXED | {"head_dim": 16, "query_pre_attn_scalar": 16},
        config="Gemma3TextConfig",
    ),
    "phi3": Family(
        "Phi3",
        _by_pieces,
        ("<unk>", "<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "LlamaTokenizerFast",
        ("<|end|>", "<|endoftext|>"),
        _TAGS,
        "<s>",
        _SIZES | {"sliding_window": WINDOW},
    ),
}
