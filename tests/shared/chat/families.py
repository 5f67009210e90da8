"""Small tokenizers and chat templates in the manner of each family of models, as what transformers reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from shared.chat.template import ChatTemplate

TEXT = [
    "Once upon a time there was a little girl. She liked to play in the park, didn't she?\nuser assistant system\n\n",
    "Grüße aus Köln, naïve café, a robot said: think, end, start of turn. im_start im_end",
    "你好,世界!我们今天去公园玩。日本語のテキストです。 12 345",
]

CHATML = """{%- for message in messages %}
{%- if loop.first and message.role != 'system' %}
{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set first =
messages[0]['content'] %}
{% else %}{% set rest = messages %}{% set first = false %}{% endif %}
{%- for turn in rest %}
{%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must take turns') }}{% endif %}
{%- if loop.index0 == 0 and first != false %}{% set said = '<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' +
turn['content'] %}
{%- else %}{% set said = turn['content'] %}{% endif %}
{%- if turn['role'] == 'user' %}{{ bos_token + '[INST] ' + said.strip() + ' [/INST]' }}
{%- else %}{{ ' ' + said.strip() + ' ' + eos_token }}{% endif %}
{%- endfor %}"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}
{%- set ns = namespace(system='') %}
{%- if messages[0].role == 'system' %}{% set ns.system = messages[0].content | trim %}{% set messages =
messages[1:] %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' ~ date_string ~ '\\n' ~ ns.system ~ '<|eot_id|>' }}
{%- for message in messages %}
{%- generation %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endgeneration %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

GEMMA = """{{ bos_token }}{% set prefix = '' %}
{%- if messages[0]['role'] == 'system' -%}{%- set prefix = messages[0]['content'] + '\\n\\n' -%}{%- set
messages = messages[1:] -%}{%- endif -%}
{%- for message in messages -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else '') }}
{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- endif -%}
{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% else %}
{{ '<|assistant|>\\n' + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

MISTRAL = """{{- bos_token }}
{%- set users = messages | selectattr('role', 'equalto', 'user') | list %}
{%- for message in messages %}
{%- if message.role == 'system' %}{% continue %}{% endif %}
{%- if message.role == 'user' %}
{%- if message == users[-1] and messages[0].role == 'system' %}{{- '[INST] ' + messages[0].content + '\\n\\n'
+ message.content + '[/INST]' }}
{%- else %}{{- '[INST] ' + message.content + '[/INST]' }}{% endif %}
{%- elif message.role == 'assistant' %}{{- ' ' + message.content | trim + eos_token }}
{%- else %}{{- raise_exception('only user and assistant, not ' + (message.role | tojson)) }}{% endif %}
{%- endfor %}"""

PHI3 = """{% for message in messages %}{{ '<|' + message['role'] + '|>' + '\\n' + message['content'] + '<|end|>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""

DEEPSEEK = """{{ bos_token }}{% for message in messages %}
{%- if message.role == 'user' %}{{ '<\uff5cUser\uff5c>' + message.content }}
{%- elif message.role == 'assistant' %}
{%- set content = message.content %}
{%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
{{- '<\uff5cAssistant\uff5c>' + content + '<\uff5cend▁of▁sentence\uff5c>' }}
{%- else %}{{ message.content }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c><think>\\n' }}{% endif %}"""

QWEN3 = """{%- macro open(role) %}{{ '<|im_start|>' ~ role ~ '\\n' }}{% endmacro %}
{%- set ns = namespace(last=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}
{%- if not ns.found and message.role == 'user' and not (message.content.startswith('<tool_response>') and
message.content.endswith('</tool_response>')) %}
{%- set ns.found = true %}{% set ns.last = index %}{% endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role in ['user', 'system'] %}{{- open(message.role) + message.content + '<|im_end|>\\n' }}
{%- else %}
{%- set content = message.content %}{% set thought = '' %}
{%- if message.reasoning_content is string %}{% set thought = message.reasoning_content %}
{%- elif '</think>' in content %}
{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{%- if loop.index0 > ns.last and thought %}{{- open(message.role) + '<think>\\n' + thought.strip('\\n') +
'\\n</think>\\n\\n' + content }}
{%- else %}{{- open(message.role) + content }}{% endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- open('assistant') }}{% endif %}"""


def _trained(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(TEXT * 3, trainer)
    return tokenizer


def _byte_level(split: str | None = None) -> Tokenizer:
    """GPT-2, Llama 3, Qwen, DeepSeek: bytes, split by a pattern."""
    made = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    made.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), level]) if split else level
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(made, trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False))


def _sentence_piece(normalizer: Any, decoder: Any, words: list[str], pre_tokenizer: Any = None) -> Tokenizer:
    """Llama 2, Mistral, Gemma: pieces of words with a sign for the space, and bytes for what is unknown."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer
    learnt = json.loads(_trained(learner, trainers.BpeTrainer(vocab_size=200, show_progress=False)).to_str())["model"]
    names = [*words, *(f"<0x{byte:02X}>" for byte in range(256)), *learnt["vocab"]]
    merges = [tuple(pair) for pair in learnt["merges"]]
    vocabulary = {name: id for id, name in enumerate(dict.fromkeys(names))}
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer, made.decoder = normalizer, decoder
    if pre_tokenizer:
        made.pre_tokenizer = pre_tokenizer
    return made


_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]


def _llama2() -> Tokenizer:
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made = _sentence_piece(
        normalizer, decoders.Sequence([*_DECODER, decoders.Strip(" ", 1, 0)]), ["<unk>", "<s>", "</s>"]
    )
    made.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    return made


def _phi3() -> Tokenizer:
    """Llama 2's, with control tokens that swallow the space behind them."""
    made = Tokenizer.from_str(_llama2().to_str())
    tokens = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
    made.add_special_tokens([AddedToken(token, normalized=False, rstrip=True) for token in tokens])
    return made


def _mistral() -> Tokenizer:
    """A space before the first word only, put there by the pre-tokenizer."""
    words = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    space = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made = _sentence_piece(normalizers.Replace(" ", "▁"), decoders.Metaspace(prepend_scheme="first"), words, space)
    made.normalizer = normalizers.Sequence([])
    made.decoder = decoders.Sequence([*_DECODER, decoders.Strip(" ", 1, 0)])
    made.add_special_tokens(words)
    return made


def _gemma() -> Tokenizer:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    made = _sentence_piece(normalizers.Replace(" ", "▁"), decoders.Sequence(_DECODER), words)
    made.add_special_tokens(words)
    made.add_tokens([AddedToken(token, normalized=False) for token in ("\n", "\n\n", "▁▁", "<h1>")])
    return made


def _unigram() -> Tokenizer:
    """T5, ALBERT, XLNet: the special tokens are pieces of the model, too, and compatible characters are one."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>", "<|user|>", "<|system|>", "<|assistant|>"]
    made = _trained(
        made,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False, initial_alphabet=list("<|>")
        ),
    )
    return made


def _word_piece() -> Tokenizer:
    """BERT: words and their ends in lower case. (Its trainer is not reproducible, so here is no training.)"""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789<>|[]_.,?!'"
    words = ["[PAD]", "[UNK]", "<s>", "</s>", *letters, *(f"##{letter}" for letter in letters), "user", "##ing"]
    made = Tokenizer(models.WordPiece({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(cleanup=False)
    made.add_special_tokens(["[PAD]", "[UNK]", "<s>", "</s>"])
    made.add_special_tokens([AddedToken(f"<|{role}|>", normalized=True) for role in ("user", "assistant", "system")])
    return made


_GPT4 = r"""(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""


def _qwen(tokens: list[str], plain: list[str]) -> Callable[[], Tokenizer]:
    def make() -> Tokenizer:
        made = _byte_level(_GPT4)
        made.normalizer = normalizers.NFC()
        made.add_special_tokens(tokens)
        made.add_tokens([AddedToken(token, normalized=False) for token in plain])
        return made

    return make


def _llama3() -> Tokenizer:
    made = _byte_level(_GPT4)
    tokens = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    made.add_special_tokens(tokens)
    begin = made.token_to_id(tokens[0])
    made.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{tokens[0]} $A", special_tokens=[(tokens[0], begin)]),
        ]
    )
    return made


def _gpt2() -> Tokenizer:
    made = _byte_level()
    made.add_special_tokens(["<|endoftext|>", *(f"<|{role}|>" for role in ("user", "system", "assistant"))])
    return made


_S = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
# name -> tokenizer, what tokenizer_config.json says, and the template
FAMILIES: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any], str]] = {
    "qwen2": (
        _qwen(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], []),
        {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        CHATML,
    ),
    "qwen3": (
        _qwen(
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            ["<tool_response>", "</tool_response>", "<think>", "</think>"],
        ),
        {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        QWEN3,
    ),
    "llama2": (
        _llama2,
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False, **_S},
        LLAMA2,
    ),
    "llama2-eos": (
        _llama2,
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "add_eos_token": True, "legacy": True, **_S},
        LLAMA2,
    ),
    "llama3": (
        _llama3,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>",
            "clean_up_tokenization_spaces": True,
        },
        LLAMA3,
    ),
    "gemma": (
        _gemma,
        {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"},
        GEMMA,
    ),
    "mistral": (_mistral, {"tokenizer_class": "LlamaTokenizer", "legacy": False, **_S}, MISTRAL),
    "phi3": (_phi3, {"tokenizer_class": "LlamaTokenizer", "legacy": False, **_S}, PHI3),
    "zephyr": (_llama2, {"tokenizer_class": "LlamaTokenizer", "legacy": True, **_S}, ZEPHYR),
    "deepseek": (
        _qwen(
            ["<\uff5cbegin▁of▁sentence\uff5c>", "<\uff5cend▁of▁sentence\uff5c>"],
            ["<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<think>", "</think>"],
        ),
        {
            "tokenizer_class": "LlamaTokenizerFast",
            "bos_token": "<\uff5cbegin▁of▁sentence\uff5c>",
            "eos_token": "<\uff5cend▁of▁sentence\uff5c>",
            "add_bos_token": True,
            "legacy": True,
        },
        DEEPSEEK,
    ),
    "gpt2": (
        _gpt2,
        {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
        ZEPHYR,
    ),
    "gpt2-space": (
        _gpt2,
        {
            "tokenizer_class": "GPT2Tokenizer",
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "add_prefix_space": True,
        },
        ZEPHYR,
    ),
    "unigram": (_unigram, {"tokenizer_class": "PreTrainedTokenizerFast", **_S}, ZEPHYR),
    "wordpiece": (
        _word_piece,
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "[UNK]"},
        ZEPHYR,
    ),
}


@cache
def tokenizer_of(family: str) -> Tokenizer:
    """The tokenizer of a family, as its file has it."""
    return FAMILIES[family][0]()


def write(family: str, directory: Path, **changes: Any) -> Path:
    """What transformers reads of a checkpoint of this family; `changes` are of its tokenizer_config.json."""
    _, settings, template = FAMILIES[family]
    return write_checkpoint(tokenizer_of(family), settings | {"chat_template": template} | changes, directory)


def write_checkpoint(tokenizer: Tokenizer, settings: dict[str, Any], directory: Path) -> Path:
    """The same of any."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory


def template_of(family: str) -> ChatTemplate:
    """The template of a family, with what it knows by name."""
    _, settings, source = FAMILIES[family]
    return ChatTemplate(source, named_tokens(settings))


def named_tokens(settings: dict[str, Any]) -> dict[str, str | list[str]]:
    """The special tokens that a template knows by name."""
    return {name: text for name, text in settings.items() if isinstance(text, str) and name.endswith("_token")}
