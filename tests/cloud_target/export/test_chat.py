"""A bundle carries the chat template of its checkpoint where a device can use it, and says so where not."""

from __future__ import annotations

import pytest

from cloud_target.engine.tokens import read_tokens
from cloud_target.export.chat import tell_endings, usable_chat
from tests.shared.chat.families import FAMILIES, write

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_chat(tmp_path, family):
    tokens = read_tokens(write(family, tmp_path))
    said: list[str] = []
    assert usable_chat(tokens, tell=said.append) == tokens.chat is not None
    assert said == []


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ messages[0].content | urlize }}", "No filter named 'urlize'"),
        ("{{ raise_exception('only with tools') }}", "it takes no plain conversation"),
        ("{{ messages[0].content }}{{ namespace | string | length }}", "makes"),
    ],
)
def test_a_template_that_a_device_cannot_use_is_left_out(tmp_path, template, sentence):
    tokens = read_tokens(write("gpt2", tmp_path, chat_template=template))
    said: list[str] = []
    if sentence == "makes":
        tokens.original.chat_template = template + "!"
    assert usable_chat(tokens, tell=said.append) is None
    assert [sentence in line for line in said] == [True]


def test_no_template_is_none(tmp_path):
    assert usable_chat(read_tokens(write("gpt2", tmp_path, chat_template=None))) is None


@pytest.mark.parametrize(("adds", "ending"), [(True, "</s>"), (False, None)])
def test_what_every_prompt_ends_with_is_told(tmp_path, adds, ending):
    tokens = read_tokens(write("llama2", tmp_path, add_eos_token=adds))
    said: list[str] = []
    tell_endings(tokens.tokenizer, said.append)
    assert [f"every prompt will end with {ending}," in line for line in said] == ([True] if ending else [])
