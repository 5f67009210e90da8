"""A chat as a prompt: every turn as the template writes it, and what is no turn refused."""

from __future__ import annotations

import pytest

from shared.chat import render_chat
from shared.errors import InputError


def test_turns_are_written_one_after_the_other():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert render_chat(turns) == "<|user|>Hi<|end|><|assistant|>Hello<|end|><|assistant|>"
    assert render_chat(turns, add_generation_prompt=False) == "<|user|>Hi<|end|><|assistant|>Hello<|end|>"


@pytest.mark.parametrize(
    ("turn", "sentence"),
    [
        ({"role": "robot", "content": "Hi"}, "unknown chat role 'robot'"),
        ({"content": "Hi"}, "unknown chat role None"),
        ({"role": "user"}, "must be text, not None"),
        ({"role": "user", "content": 5}, "must be text, not 5"),
        ("Hi", "a chat is a list of turns"),
    ],
)
def test_what_is_no_turn_is_refused(turn, sentence):
    with pytest.raises(InputError, match=sentence):
        render_chat([turn])
