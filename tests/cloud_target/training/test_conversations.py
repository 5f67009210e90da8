"""Conversations that a model makes up: framed by its template, and in all else its own words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from cloud_target.engine.tokens import read_tokens
from cloud_target.training import conversations
from cloud_target.training.conversations import Frame, write_conversations
from cloud_target.training.models import run
from cloud_target.training.own_text import OwnText
from shared.chat.prompt import ChatEncoder
from shared.config import Sampling
from shared.errors import InputError
from tests.cloud_target.distil.conftest import CONTEXT, build
from tests.shared.chat.families import FAMILIES, write

FRAME = Frame(np.array([7, 8, 9]), np.array([10, 11]))
ENDS = (0, 10)
GREEDY, WARM = Sampling(temperature=0), Sampling(temperature=0.8, top_p=0.9)
VOCABULARY = 300
ids = st.lists(st.integers(12, VOCABULARY - 1), max_size=9)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_frame_is_all_that_a_template_writes_around_a_user(tmp_path: Path, family: str) -> None:
    tokens = read_tokens(write(family, tmp_path))
    frame = Frame.of(tokens, [])
    encoder = ChatEncoder(tokens.tokenizer, tokens.chat)
    for said in ("is it far?", "a long story, please", "tell me 12 of them"):
        whole = encoder.encode([{"role": "user", "content": said}])
        before, after = len(frame.before), len(whole) - len(frame.after)
        assert whole[:before] == frame.before.tolist()
        assert whole[after:] == frame.after.tolist()
        turn = tokens.tokenizer.decode(whole[before:after], skip_special_tokens=False)
        assert "".join(turn.split()).lower() == "".join(said.split()).lower()


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (None, "has no chat template"),
        ("{{ messages[0].content }}<|im_end|>", "writes nothing before what a user says"),
        ("<|im_start|>{{ messages[0].content }}", "writes nothing behind what a user says"),
    ],
)
def test_a_target_that_does_not_chat_is_told_what_it_lacks(tmp_path: Path, template: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Frame.of(read_tokens(write("qwen2", tmp_path, chat_template=template)), [])


class Scripted:
    """Says `said` in the user's turn of each text, then an end, and answers `answered`: whatever stands there."""

    def __init__(self, said: list[list[int]], answered: list[list[int]]) -> None:
        self._scripts = list(zip(said, answered, strict=True))

    def choose(self, seen: list[list[int]]) -> torch.Tensor:
        logits = torch.full((len(seen), VOCABULARY), -1e4)
        for row, ((said, answered), text) in enumerate(zip(self._scripts, seen, strict=True)):
            place = len(text) - len(FRAME.before)
            behind = place - len(said) - len(FRAME.after)
            script = said[place:] if behind < 0 else answered[behind:]
            logits[row, (script or [ENDS[0]])[0]] = 0
        return logits


@given(texts=st.lists(st.tuples(ids, ids), min_size=1, max_size=5), longest=st.integers(1, 6), length=st.integers(1, 6))
def test_each_conversation_is_framed_cut_and_told_apart(
    texts: list[tuple[list[int], list[int]]], longest: int, length: int
) -> None:
    said, answered = ([list(part) for part in parts] for parts in zip(*texts, strict=True))
    said = [part[:longest] for part in said]
    script = Scripted(said, answered)
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=VOCABULARY))
    model = SimpleNamespace(device=torch.device("cpu"), config=config)

    def write_on(_, openings, most, choose):
        seen = openings.tolist()
        for _ in range(most):
            step, over = choose(script.choose(seen))
            for text, token in zip(seen, step[:, 0].tolist(), strict=True):
                text.append(token)
            if over.all():
                break
        return np.array(seen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "write_on", write_on)
        patch.setattr(conversations, "LONGEST_QUESTION", longest)
        patch.setattr(conversations, "bearable_texts", lambda *_: len(said))
        wanted = [
            FRAME.before.tolist() + question + FRAME.after.tolist() + [*answer, 0][: length + longest - len(question)]
            for question, answer in zip(said, answered, strict=True)
            if question
        ]
        make = lambda: write_conversations(model, FRAME, [GREEDY], length, 1, ENDS, 1000, batch=len(said))  # noqa: E731
        if not wanted:
            with pytest.raises(InputError, match="says nothing where a user would"):
                make()
            return
        found = make()
    assert [text.tolist() for text in found.documents] == wanted
    around = len(FRAME.before) + len(FRAME.after)
    assert found.openings.tolist() == [around + len(question) for question in said if question]


@pytest.fixture(scope="module")
def target() -> LlamaForCausalLM:
    return build()


@pytest.fixture(scope="module")
def made(target: LlamaForCausalLM) -> OwnText:
    return write_conversations(target, FRAME, [GREEDY, WARM], 12, 300, ENDS, CONTEXT, batch=8, seed=3)


def test_answers_are_what_the_model_says_of_what_stands_before(target: LlamaForCausalLM, made: OwnText) -> None:
    for text, opening, temperature in zip(made.documents, made.openings, made.temperature, strict=True):
        if not temperature:
            best = run(target, text[None].astype(np.int64))[1][0].argmax(-1).numpy()
            np.testing.assert_array_equal(text[opening:], best[opening - 1 : -1])
    assert set(made.temperature.tolist()) == {0, np.float32(0.8)}


def test_no_turn_runs_past_its_end_and_none_past_the_context(made: OwnText) -> None:
    before, after = FRAME.before.tolist(), FRAME.after.tolist()
    for text, opening in zip(made.documents, made.openings.tolist(), strict=True):
        words = text.tolist()
        assert words[: len(before)] == before
        assert words[opening - len(after) : opening] == after
        question, answer = words[len(before) : opening - len(after)], words[opening:]
        assert question
        assert not set(question) & set(ENDS)
        assert not set(answer[:-1]) & set(ENDS)
        assert len(words) <= CONTEXT
    assert sum(len(text) - opening for text, opening in zip(made.documents, made.openings, strict=True)) >= 300


def test_a_seed_fixes_them(target: LlamaForCausalLM, made: OwnText) -> None:
    again = write_conversations(target, FRAME, [GREEDY, WARM], 12, 300, ENDS, CONTEXT, batch=8, seed=3)
    other = write_conversations(target, FRAME, [GREEDY, WARM], 12, 300, ENDS, CONTEXT, batch=8, seed=4)
    assert [text.tolist() for text in again.documents] == [text.tolist() for text in made.documents]
    assert [text.tolist() for text in other.documents] != [text.tolist() for text in made.documents]


def test_a_context_without_room_is_refused(target: LlamaForCausalLM) -> None:
    with pytest.raises(InputError, match="up to 6 tokens, too few for conversations"):
        write_conversations(target, FRAME, [GREEDY], 12, 300, ENDS, 6)
