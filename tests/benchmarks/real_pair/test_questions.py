"""The questions: enough of them, of every kind in turn, and right answers told from wrong ones."""

from __future__ import annotations

import pytest

from benchmarks.real_pair.questions import EVERY, WITH_ANSWERS, some


def test_there_are_a_hundred_and_none_twice():
    assert len({question.text for question in EVERY}) == len(EVERY) == 100


@pytest.mark.parametrize("question", WITH_ANSWERS, ids=lambda question: question.text)
def test_saying_the_question_again_is_no_right_answer(question):
    assert not question.is_right(question.text)
    assert not question.is_right("")


def test_a_right_answer_is_known_in_a_sentence_and_a_wrong_one_is_not():
    (capital,) = (question for question in EVERY if question.text == "What is the capital of Italy?")
    assert capital.is_right("The capital of Italy is Rome.")
    assert not capital.is_right("Italy's capital is Romeville.")
    assert not capital.is_right("It is Paris.")


def test_kinds_come_in_turn_and_round_again():
    kinds = {question.kind for question in EVERY}
    assert {question.kind for question in some(len(kinds))} == kinds
    assert some(100) != EVERY
    assert sorted(some(100), key=str) == sorted(EVERY, key=str)
    assert some(103)[100:] == some(3)
