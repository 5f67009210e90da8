"""A target that says what a function of the conversation tells it to, and a template that knows calls of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer

from edge_client.edge import Edge
from edge_client.testing import scripted_bundle, scripted_edge
from edge_client.testing.scripts import Script
from edge_client.testing.tokenizer import END_IDS, byte_tokenizer
from shared.chat.pocket import POCKET_CHAT
from shared.chat.template import ChatTemplate

# The tokens of the pocket models, and calls in the manner of Hermes.
TEMPLATE = """{{- bos_token }}
{%- if tools %}{{- '<|system|>' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|end|>' }}{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{- '<|user|>Result of ' + message.name + ': ' + message.content }}
{%- else %}
{{- '<|' + message.role + '|>' + message.content }}
{%- for call in message.tool_calls %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{%- endif %}
{{- '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"""
CALLING = ChatTemplate(TEMPLATE, POCKET_CHAT.tokens)


def call(name: str, arguments: str) -> str:
    """A call as this template writes it."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def marking_tokenizer() -> Tokenizer:
    """The byte tokenizer, with tokens of their own for what marks a call."""
    made = Tokenizer.from_str(byte_tokenizer().to_str())
    made.add_tokens([AddedToken(token, normalized=False) for token in ("<tool_call>", "</tool_call>")])
    return made


def speaker(
    reply: Callable[[str], str],
    sureness: float = 1e4,
    unsure: Script | None = None,
    tokenizer: Tokenizer | None = None,
) -> Script:
    """A script that answers each conversation by a function of it.

    Args:
        reply: what is said after a prompt, whose special tokens are spelled; the prompt ends before `<|assistant|>`.
        sureness: how far its next word stands above all others.
        unsure: what it thinks beside that, and where the text has gone another way.
    """
    tokenizer, end = tokenizer or byte_tokenizer(), END_IDS[1]
    assistant = tokenizer.token_to_id("<|assistant|>")

    def logits(text: Sequence[int]) -> np.ndarray:
        ids = list(text)
        place = len(ids) - 1 - ids[::-1].index(assistant) if assistant in ids else len(ids) - 1
        wanted = [*tokenizer.encode(reply(tokenizer.decode(ids[:place], skip_special_tokens=False))).ids, end]
        said = ids[place + 1 :]
        row = np.zeros(tokenizer.get_vocab_size(), np.float32) if unsure is None else unsure(text).copy()
        row[wanted[len(said)] if wanted[: len(said)] == said and len(said) < len(wanted) else end] += sureness
        return row

    return logits


def speaking_edge(
    script: Script, chat: ChatTemplate = CALLING, tokenizer: Tokenizer | None = None, **options: Any
) -> Edge:
    """An edge whose draft and target follow the same script."""
    bundle = scripted_bundle(script, tokenizer=tokenizer, context=4096, chat=chat)
    return scripted_edge(script, bundle=bundle, **{"max_tokens": 300, "mode": "exact"} | options)
