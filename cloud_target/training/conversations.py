"""Conversations that the target makes up: what a user asks, and its own answer.

A model that was taught to chat has seen what users say. Given the beginning of a user's turn alone, it writes one
(Magpie: Xu et al., arXiv 2406.08464); so what a draft will meet in conversations can be had without any.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from cloud_target.engine.tokens import Tokens
from cloud_target.training.corpus import id_type
from cloud_target.training.own_text import OwnText, bearable_texts, draw, write_on
from shared.chat.prompt import ChatEncoder
from shared.config import Sampling
from shared.errors import InputError

# What a user says is drawn so, and is cut after so many tokens.
ASKING = Sampling(temperature=1.0, top_p=0.95)
LONGEST_QUESTION = 96
# Of what a user may say; what is the same around all of them is the template's. With nothing there is nothing but it.
_SAYINGS = ("", "a", "7", "The", "(no)", "zwölf 😀")


@dataclass(frozen=True)
class Frame:
    """What a chat template writes around one turn of a user.

    Attributes:
        before: the ids before what the user says, ``int64 [n]``, at least one.
        after: those behind it, up to where the answer begins, ``int64 [m]``, at least one; the first ends the turn.
    """

    before: np.ndarray
    after: np.ndarray

    @classmethod
    def of(cls, tokens: Tokens, ends: Sequence[int]) -> Frame:
        """The frame of a checkpoint's own template.

        Raises:
            InputError: there is no template, or it puts nothing before or behind what the user says.
        """
        if tokens.chat is None:
            raise InputError(
                "the target has no chat template that can be used, so it makes up no conversations; leave --chat out, "
                "and give text to learn from"
            )
        encoder = ChatEncoder(tokens.tokenizer, tokens.chat, ends)
        written = []
        for said in _SAYINGS:
            with suppress(InputError):  # some refuse that nothing is said
                written.append(encoder.encode([{"role": "user", "content": said}]))
        before, after = _alike(written), _alike([ids[::-1] for ids in written])[::-1]
        if not before or not after:
            where = "behind" if before else "before"
            raise InputError(
                f"the target's chat template writes nothing {where} what a user says, so it makes up no conversations; "
                "leave --chat out, and give text to learn from"
            )
        return cls(np.array(before, np.int64), np.array(after, np.int64))


def _alike(written: Sequence[Sequence[int]]) -> list[int]:
    """The ids that all begin with."""
    return [ids[0] for ids in itertools.takewhile(lambda ids: len(set(ids)) == 1, zip(*written, strict=False))]


class _Turns:
    """Where each conversation of a batch is: in the user's turn, in what stands behind it, or in the answer.

    Args:
        longest: of a user's turn, tokens.

    Attributes:
        asked: tokens of each user's turn so far, ``int64 [b]``.
    """

    def __init__(self, model: PreTrainedModel, frame: Frame, ends: Sequence[int], batch: int, longest: int) -> None:
        device = model.device
        self._after, self._ends = (
            torch.as_tensor(np.asarray(ids, np.int64), device=device) for ids in (frame.after, ends)
        )
        self.asked = torch.zeros(batch, dtype=torch.int64, device=device)
        self._behind = torch.zeros_like(self.asked)  # how much of `after` is written
        self._over = self.asked > 0
        self._longest = longest

    def choose(
        self, logits: torch.Tensor, answering: Sampling, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next tokens ``int64 [b, 1]``, and which conversations are over ``bool [b]``."""
        asks, answers = self._behind == 0, self._behind == len(self._after)
        said = draw(logits, ASKING, generator)[:, 0]
        answer = draw(logits, answering, generator)[:, 0]
        asks &= ~(torch.isin(said, self._ends) | (said == self._after[0]) | (self.asked == self._longest))
        step = torch.where(asks, said, self._after[self._behind.clamp(max=len(self._after) - 1)])
        step = torch.where(answers, answer, step)
        self.asked += asks
        self._behind += ~(asks | answers)
        self._over |= answers & torch.isin(step, self._ends)
        return step[:, None], self._over


def write_conversations(
    model: PreTrainedModel,
    frame: Frame,
    samplings: Sequence[Sampling],
    length: int,
    tokens: int,
    ends: Sequence[int],
    context: int,
    batch: int = 128,
    seed: int = 0,
) -> OwnText:
    """Let a model make up conversations, until about `tokens` of answers are written, of up to `length` each.

    Args:
        model: one that was taught to chat.
        frame: of its template.
        samplings: how answers are drawn, a batch each, in turn.
        ends: tokens that end a turn.
        context: longest conversation, tokens; none is longer than the model can read.
        batch: conversations at once.

    Returns:
        The conversations; the opening of each is all that stands before its answer, its source none but itself.

    Raises:
        InputError: the context has no room for one, or the model says nothing in a user's turn.
    """
    around = len(frame.before) + len(frame.after)
    context = min(context, getattr(model.config, "max_position_embeddings", None) or context)
    longest = min(LONGEST_QUESTION, (context - around) // 2)
    room = min(longest + length, context - around)
    if longest < 1:
        raise InputError(f"the target's texts have up to {context} tokens, too few for conversations; leave --chat out")
    batch = min(batch, bearable_texts(model, around + room))
    generator = torch.Generator(model.device).manual_seed(seed)
    done, kind = 0, id_type(model.config.get_text_config().vocab_size)
    found: list[tuple[np.ndarray, int, int, Sampling]] = []
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, mininterval=5, desc="conversations") as bar:
        turn = 0
        while done < tokens:
            turns, answering = _Turns(model, frame, ends, batch, longest), samplings[turn % len(samplings)]
            choose = partial(turns.choose, answering=answering, generator=generator)
            rows = np.repeat(frame.before[None], batch, 0)
            texts, before = write_on(model, rows, len(frame.after) + room, choose), done
            for text, asked in zip(texts, turns.asked.tolist(), strict=True):
                opening = around + asked
                over = np.flatnonzero(np.isin(text[opening:], ends))
                text = text[: opening + over[0] + 1] if len(over) else text
                if asked and len(text) > opening:
                    found.append((text.astype(kind), opening, len(found), answering))
                    done += len(text) - opening
            bar.update(done - before)
            turn += 1
            if done == before:
                raise InputError(
                    "the target says nothing where a user would, so it makes up no conversations; leave --chat out, "
                    "and give text to learn from"
                )
    return OwnText.of(found)
