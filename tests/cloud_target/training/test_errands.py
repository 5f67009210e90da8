"""Errands: every question has one right answer, which is recognised, and a wrong one is not."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cloud_target.training.corpus import as_chat, read_documents, write_documents
from cloud_target.training.errands import dialogues, errands, number

_WORDS = {number(value): value for value in range(100)}


@given(st.integers(0, 2**32))
def test_the_right_answer_is_right_and_one_with_a_value_missing_is_not(seed: int) -> None:
    for errand in errands(8, seed):
        count = len(errand.values)
        assert errand.right(errand.answer) == errand.right(f"Well. {errand.answer} And so on.") == count
        assert errand.right("") == 0
        for value in errand.values:
            assert errand.right(errand.answer.replace(value, "")) < count


@given(st.integers(0, 2**32))
def test_answers_follow_from_their_questions(seed: int) -> None:
    booking, total, order, owner = errands(4, seed)
    for name in (booking.values[1], booking.values[2].rstrip(","), booking.values[3], booking.values[5]):
        assert name in booking.question
    guests = re.search(r"table for ([\w-]+)", booking.question)
    assert guests is not None
    assert booking.values[0] == f"{_WORDS[guests[1]]} at"
    have, change = (_WORDS[word] for word in re.findall(r"[a-z]+(?:-[a-z]+)?", total.question) if word in _WORDS)
    more = re.search("finds|gets|buys", total.question)
    assert total.values[0] == f"is {number(have + change if more else have - change)}."
    words = order.question.split(": ")[1].rstrip(".").split(", ")
    assert order.answer == f"In order: {', '.join(sorted(words))}."
    name = re.search(r"What does (.*) have\?", owner.question)
    assert name is not None
    assert f"{name[1]} has {owner.values[0].rstrip('.')}" in owner.question


def test_times_in_words_are_told_by_the_clock() -> None:
    clocks = {
        "half past two in the evening": "2:30 pm",
        "quarter to twelve in the morning": "11:45 am",
        "ten in the morning": "10:00 am",
    }
    found = {
        words: errand.values[4]
        for errand in errands(20_000, 0)
        if errand.kind == "booking"
        for words in clocks
        if f" at {words}" in errand.question and not re.search(f"past {words}|to {words}", errand.question)
    }
    assert found == clocks


def test_dialogues_are_the_same_for_a_seed_and_are_read_back_as_chats(tmp_path: Path) -> None:
    path = tmp_path / "errands.txt"
    write_documents(path, dialogues(50, 3))
    assert read_documents(path) == list(dialogues(50, 3)) != list(dialogues(50, 4))
    assert all(as_chat(document) for document in read_documents(path))
