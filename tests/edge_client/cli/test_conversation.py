"""A conversation's turns, whatever is done with them, and its form in a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.cli.conversation import Answer, Conversation, Exchange, describe
from shared.errors import InputError

TEXTS = st.text(max_size=5)
RECORDS = st.fixed_dictionaries(
    {"seed": st.integers(0, 9), "figures": st.fixed_dictionaries({"calls": st.integers(0, 9)})}
)
ANSWERS = st.builds(Answer, TEXTS, RECORDS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), TEXTS),
        st.tuples(st.just("answer"), ANSWERS),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("undo and redo"), st.none()),
    )
)


def played(steps: list[tuple[str, Any]], system: str = "") -> Conversation:
    """What comes of these steps; those that cannot be taken are refused, and change nothing."""
    conversation = Conversation(system)
    for step, given_with_it in steps:
        before = (list(conversation.exchanges), list(conversation.taken_back))
        try:
            match step:
                case "ask":
                    conversation.ask(given_with_it)
                case "answer":
                    conversation.answer(given_with_it)
                case "undo":
                    conversation.undo()
                case _:
                    conversation.redo(conversation.undo())
                    assert (conversation.exchanges, conversation.taken_back) == before
        except InputError:
            assert not before[0]
            assert (conversation.exchanges, conversation.taken_back) == before
    return conversation


@given(STEPS, TEXTS)
def test_questions_and_answers_come_by_turns(steps, system):
    conversation = played(steps, system)
    roles = [message["role"] for message in conversation.messages]
    if system:
        assert roles.pop(0) == "system"
        assert conversation.messages[0]["content"] == system
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
    if conversation.exchanges:
        assert conversation.asked[-1] == {"role": "user", "content": conversation.last.question}
        assert conversation.messages[: len(conversation.asked)] == conversation.asked


@given(STEPS)
def test_no_answer_is_lost(steps):
    answered = [with_it for step, with_it in steps if step == "answer"]
    conversation = played([("ask", "first"), *(step for step in steps if step[0] != "undo")])
    assert sorted(map(id, conversation.answers + conversation.taken_back)) == sorted(map(id, answered))


@given(STEPS, TEXTS)
def test_a_file_gives_it_back(steps, system):
    conversation = played(steps, system)
    if not conversation.messages:
        return
    again = Conversation.of(json.loads(json.dumps(conversation.as_dict())))
    assert (again.system, again.exchanges) == (conversation.system, conversation.exchanges)


def test_messages_of_other_programs_are_enough():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    conversation = Conversation.of({"messages": turns, "model": "another"})
    assert conversation.exchanges == [Exchange("a", Answer("b"))]
    assert "1 answer; 0 tokens" in describe(conversation)
    assert "seed" not in describe(conversation)


USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ([USER], "no conversation in it"),
        ({}, "no conversation in it"),
        ({"messages": "Tom"}, "a chat is a list of turns"),
        ({"messages": []}, "no turn in it"),
        ({"messages": [USER, USER]}, "turn 2 is of the role user, not assistant"),
        ({"messages": [ASSISTANT]}, "turn 1 is of the role assistant, not user"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "must be text"),
        ({"messages": [USER, ASSISTANT], "answers": []}, "must be a list of 1"),
        ({"messages": [USER, ASSISTANT], "answers": ["b"]}, "must hold objects"),
        ({"messages": [USER, ASSISTANT], "answers": [{"seed": "3"}]}, "seed of the kind int"),
        ({"messages": [USER, ASSISTANT], "answers": [{"seed": True}]}, "seed of the kind int"),
        ({"messages": [USER, ASSISTANT], "answers": [{"figures": {"calls": "many"}}]}, "whole numbers"),
    ],
)
def test_what_is_no_conversation_is_refused(kept, sentence):
    with pytest.raises(InputError, match=sentence):
        Conversation.of(kept)


def test_the_figures_are_of_this_conversation():
    def answer(calls: int, seed: int, reason: str = "end") -> Answer:
        figures = {"calls": calls, "accepted": 10, "confirmed": 2, "target": 1, "bytes_up": 7, "bytes_down": 5}
        return Answer("a", {"seed": seed, "figures": figures, "finish_reason": reason})

    conversation = Conversation()
    assert "0 answers; 0 tokens" in describe(conversation)
    for calls, reason in ((1, "interrupted"), (2, "end")):
        conversation.ask("q")
        conversation.answer(answer(calls, 40 + calls, reason))
    assert describe(conversation) == (
        "2 answers (1 cut off); 26 tokens: 20 accepted on the device, 4 confirmed by the target, 2 written by the "
        "target; 3 calls; bytes: 14 up, 10 down, 0 of prompts; seed of the last: 42"
    )
    conversation.answer(answer(5, 43))
    stands, taken_back = describe(conversation).splitlines()
    assert "6 calls" in stands
    assert taken_back.startswith("taken back: 1 answer; 13 tokens")
    assert "2 calls" in taken_back
