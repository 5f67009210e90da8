"""Small tokenizers and chat templates of models that call functions, in the manner of each family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import AddedToken, Tokenizer

from shared.chat.prompt import ChatEncoder
from shared.chat.template import ChatTemplate
from tests.shared.chat.families import named_tokens, tokenizer_of, write_checkpoint

# Qwen 2.5 and 3, Hermes: functions in the system turn, a call within <tool_call>, which is a token.
HERMES = """{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '# Tools\\n\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\n\\nCall within <tool_call></tool_call>.<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'system' and not loop.first) or (message.role == 'assistant' and
not message.tool_calls) %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>' + message.role }}
{%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
{%- for tool_call in message.tool_calls %}
{%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
{{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}{{- tool_call.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\\n<tool_response>\\n' }}{{- message.content }}{{- '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

# Llama 3.1: a call is JSON, one at a time, and nothing says that it begins.
LLAMA31 = """{{- bos_token }}
{%- if messages[0].role == 'system' %}{%- set system = messages[0].content | trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools is not none %}{{- 'Environment: ipython\\n' }}{%- endif %}
{{- system + '<|eot_id|>' }}
{%- if tools is not none and messages | length != 0 %}
{%- set first = messages[0].content | trim %}{%- set messages = messages[1:] %}
{{- '<|start_header_id|>user<|end_header_id|>\\n\\nRespond with JSON to call one of:\\n\\n' }}
{%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n\\n' }}{%- endfor %}
{{- first + '<|eot_id|>' }}
{%- endif %}
{%- for message in messages %}
{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- elif 'tool_calls' in message %}
{%- if not message.tool_calls | length == 1 %}{{- raise_exception('only single tool-calls at once!') }}{%- endif %}
{%- set tool_call = message.tool_calls[0].function %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{{- '{"name": "' + tool_call.name + '", ' }}{{- '"parameters": ' }}{{- tool_call.arguments | tojson }}{{- '}' }}
{{- '<|eot_id|>' }}
{%- else %}
{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
{%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}
{%- else %}{{- message.content }}{%- endif %}
{{- '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""

# Mistral 7B v0.3, Nemo: a special token before a list, and an id of nine signs in each call.
MISTRAL = """{{- bos_token }}
{%- if messages[0].role == 'system' %}{%- set system = messages[0].content %}{%- set messages = messages[1:] %}
{%- endif %}
{%- set users = messages | selectattr('role', 'equalto', 'user') | list %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools is not none and message == users[-1] %}{{- '[AVAILABLE_TOOLS]' }}{{- tools | tojson }}
{{- '[/AVAILABLE_TOOLS]' }}{%- endif %}
{%- if loop.last and system is defined %}{{- '[INST]' + system + '\\n\\n' + message.content + '[/INST]' }}
{%- else %}{{- '[INST]' + message.content + '[/INST]' }}{%- endif %}
{%- elif message.tool_calls is defined and message.tool_calls is not none %}
{{- '[TOOL_CALLS][' }}
{%- for tool_call in message.tool_calls %}
{%- set out = tool_call.function | tojson %}{{- out[:-1] }}
{%- if not tool_call.id is defined or tool_call.id | length != 9 %}
{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}
{{- ', "id": "' + tool_call.id + '"}' }}
{%- if not loop.last %}{{- ', ' }}{%- else %}{{- ']' + eos_token }}{%- endif %}
{%- endfor %}
{%- elif message.role == 'assistant' %}{{- message.content + eos_token }}
{%- elif message.role == 'tool' %}
{{- '[TOOL_RESULTS]{"content": ' + message.content + ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
{%- else %}{{- raise_exception('not these roles') }}{%- endif %}
{%- endfor %}"""


def _with(family: str, special: list[str], plain: list[str]) -> Callable[[], Tokenizer]:
    def make() -> Tokenizer:
        made = Tokenizer.from_str(tokenizer_of(family).to_str())
        made.add_special_tokens(special)
        made.add_tokens([AddedToken(token, normalized=False) for token in plain])
        return made

    return make


_MISTRAL_TOKENS = [f"[{slash}{word}]" for slash in ("", "/") for word in ("INST", "AVAILABLE_TOOLS", "TOOL_RESULTS")]
# As in `families`: tokenizer, what tokenizer_config.json says, and the template.
TOOL_FAMILIES: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any], str]] = {
    "hermes": (
        _with("qwen3", [], ["<tool_call>", "</tool_call>"]),
        {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        HERMES,
    ),
    "hermes-without-tokens": (
        _with("qwen2", [], []),
        {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        HERMES,
    ),
    "llama31": (
        _with("llama3", [], []),
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>",
            "clean_up_tokenization_spaces": True,
        },
        LLAMA31,
    ),
    "mistral-nemo": (
        _with("gpt2", ["<s>", "</s>", "[TOOL_CALLS]", *_MISTRAL_TOKENS], []),
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"},
        MISTRAL,
    ),
}


@cache
def tool_tokenizer(family: str) -> Tokenizer:
    """The tokenizer of a family."""
    return TOOL_FAMILIES[family][0]()


def tool_template(family: str) -> ChatTemplate:
    """Its template, with what it knows by name."""
    _, settings, source = TOOL_FAMILIES[family]
    return ChatTemplate(source, named_tokens(settings))


def end_id(family: str) -> int:
    """The token that ends its texts."""
    found: int = tool_tokenizer(family).token_to_id(TOOL_FAMILIES[family][1]["eos_token"])
    return found


@cache
def tool_encoder(family: str) -> ChatEncoder:
    """What writes its conversations."""
    return ChatEncoder(tool_tokenizer(family), tool_template(family), [end_id(family)])


@cache
def transformers_of(family: str) -> Any:
    """The same, as transformers reads it: the oracle."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    with TemporaryDirectory() as directory:
        settings = TOOL_FAMILIES[family][1] | {"chat_template": TOOL_FAMILIES[family][2]}
        return AutoTokenizer.from_pretrained(write_checkpoint(tool_tokenizer(family), settings, Path(directory)))
