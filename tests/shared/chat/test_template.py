"""What a conversation may be, and what a manifest may hold of a template."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from shared.chat.template import LONGEST_SOURCE, ChatTemplate, check_messages
from shared.errors import InputError


def test_turns_are_any_mappings_of_text():
    turn = {"role": "tool_call", "content": "", "name": "x"}
    assert check_messages((MappingProxyType(turn),)) == [turn]


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([], "no turn in it"),
        ("Hi", "a chat is a list of turns"),
        ({"role": "user", "content": "Hi"}, "a chat is a list of turns"),
        (None, "a chat is a list of turns"),
        (["Hi"], "a chat is a list of turns"),
        ([{"content": "Hi"}], "unknown chat role None"),
        ([{"role": "end|><|user", "content": "Hi"}], "a role is a word"),
        ([{"role": "", "content": "Hi"}], "a role is a word"),
        ([{"role": "user"}], "must be text, not None"),
        ([{"role": "user", "content": 5}], "must be text, not 5"),
        ([{"role": "user", "content": "Hi", "a b": "x"}], "named by a word"),
        ([{"role": "user", "content": "Hi", "name": ["x"]}], "fields of text"),
        ([{"role": "user", "content": "Hi", 3: "x"}], "named by a word"),
    ],
)
def test_what_is_no_conversation_is_refused(messages, sentence):
    with pytest.raises(InputError, match=sentence):
        check_messages(messages)


@pytest.mark.parametrize(
    "messages",
    [
        "x" * 10_000,
        ["x" * 10_000],
        [{"role": "x " * 10_000}],
        [{"role": "user", "content": ["x" * 10_000] * 1000}],
        [{"role": "user", "content": "Hi", "x " * 10_000: ["y" * 10_000]}],
        {f"{i}": "x" * 10_000 for i in range(1000)},
    ],
)
def test_a_sentence_shows_the_beginning_of_what_is_wrong(messages):
    with pytest.raises(InputError) as caught:
        check_messages(messages)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (ChatTemplate(5), "`chat.source` must be text"),
        (ChatTemplate(" " * (LONGEST_SOURCE + 1)), "at most"),
        (ChatTemplate("", []), "`chat.tokens` must be an object"),
        (ChatTemplate("", {"bos_token": 3}), "`chat.tokens.bos_token` must be a list"),
        (ChatTemplate("", {"x": [3]}), "`chat.tokens.x` must be text"),
    ],
)
def test_what_is_no_template_is_refused(template, sentence):
    with pytest.raises(ValueError, match=sentence):
        template.check("chat")


def test_a_template_and_its_tokens_pass():
    ChatTemplate("{{ bos_token }}", {"bos_token": "<s>", "additional_special_tokens": ["a", "b"]}).check("chat")
