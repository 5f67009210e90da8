"""A conversation: its turns, what can be changed of them, and the form in which a file keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from edge_client.settings import Settings
from edge_client.stream import Completion
from shared.chat.template import check_messages
from shared.errors import InputError
from shared.stopping import FinishReason

_COUNTS = ("calls", "accepted", "confirmed", "target", "bytes_up", "bytes_down", "bytes_prompt")
_KINDS: dict[str, type] = {"finish_reason": str, "seed": int, "settings": dict, "figures": dict}


@dataclass(frozen=True)
class Answer:
    """What was answered, whole or cut off.

    Attributes:
        record: how it came about: `finish_reason`, `seed`, `settings` and `figures`; empty where nobody kept it.
    """

    text: str
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, completion: Completion, settings: Settings) -> Self:
        """An answer that has just been written with these settings, their seed included."""
        figures = {"prompt_tokens": completion.prompt_tokens, **completion.usage.as_dict()}
        record = {
            "finish_reason": str(completion.finish_reason),
            "seed": settings.seed,
            "settings": recorded(settings),
            "figures": figures,
        }
        return cls(completion.text, record)

    @property
    def seed(self) -> int | None:
        """None where nobody kept it."""
        return self.record.get("seed")

    @property
    def is_cut_off(self) -> bool:
        """Whether somebody, or an error, ended it before the model did."""
        return self.record.get("finish_reason") in (FinishReason.INTERRUPTED, FinishReason.ERROR)


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, if there is one yet."""

    question: str
    answer: Answer | None = None


@dataclass
class Conversation:
    """What was said so far. Only the last question can be without an answer.

    Attributes:
        system: what the model is told before all turns; empty for nothing.
        exchanges: in order.
        taken_back: answers that are in no exchange any more, though they were written for this conversation.
    """

    system: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    taken_back: list[Answer] = field(default_factory=list)

    @property
    def last(self) -> Exchange:
        """The last question, with its answer.

        Raises:
            InputError: nothing was asked yet.
        """
        if not self.exchanges:
            raise InputError("nothing was asked yet")
        return self.exchanges[-1]

    @property
    def answers(self) -> list[Answer]:
        """Those that stand."""
        return [exchange.answer for exchange in self.exchanges if exchange.answer is not None]

    @property
    def messages(self) -> list[dict[str, str]]:
        """All turns, in OpenAI's form."""
        turns = [_turn("system", self.system)] if self.system else []
        for exchange in self.exchanges:
            turns.append(_turn("user", exchange.question))
            if exchange.answer is not None:
                turns.append(_turn("assistant", exchange.answer.text))
        return turns

    @property
    def asked(self) -> list[dict[str, str]]:
        """The turns up to the last question, which is to be answered."""
        messages = self.messages
        return messages if self.last.answer is None else messages[:-1]

    def ask(self, question: str) -> None:
        """Go on with a question; the last one is forgotten if it was never answered."""
        if self.exchanges and self.last.answer is None:
            self.exchanges.pop()
        self.exchanges.append(Exchange(question))

    def answer(self, answer: Answer) -> None:
        """Answer the last question; another answer to it is taken back."""
        question, old = self.last.question, self.last.answer
        if old is not None:
            self.taken_back.append(old)
        self.exchanges[-1] = Exchange(question, answer)

    def undo(self) -> Exchange:
        """Take the last question and its answer back, and return them.

        Raises:
            InputError: nothing was asked yet.
        """
        exchange = self.last
        self.exchanges.pop()
        if exchange.answer is not None:
            self.taken_back.append(exchange.answer)
        return exchange

    def redo(self, exchange: Exchange) -> None:
        """Put back what `undo` has just taken back."""
        if exchange.answer is not None:
            self.taken_back.pop()
        self.exchanges.append(exchange)

    def as_dict(self) -> dict[str, Any]:
        """The turns, and how each answer came about, as plain values."""
        return {"messages": self.messages, "answers": [answer.record for answer in self.answers]}

    @classmethod
    def of(cls, kept: object) -> Self:
        """The conversation that `as_dict` gave, or one that has `messages` in OpenAI's form only.

        Raises:
            InputError: it is no conversation of questions and answers by turns.
        """
        if not isinstance(kept, dict) or "messages" not in kept:
            raise InputError("there is no conversation in it, which would be an object with `messages`")
        messages = check_messages(kept["messages"])
        system = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
        for place, message in enumerate(messages):
            role = ("user", "assistant")[place % 2]
            if message["role"] != role:
                raise InputError(
                    "a conversation has questions and answers by turns, after a system's text if there is one; turn "
                    f"{place + 1} is of the role {message['role']}, not {role}"
                )
        questions, texts = messages[::2], messages[1::2]
        records = _records(kept.get("answers"), len(texts))
        answers = [Answer(text["content"], record) for text, record in zip(texts, records, strict=True)]
        pairs: list[Answer | None] = [*answers, *[None] * (len(questions) - len(answers))]
        exchanges = [Exchange(asked["content"], answer) for asked, answer in zip(questions, pairs, strict=True)]
        return cls(system, exchanges)


def recorded(settings: Settings) -> dict[str, Any]:
    """The settings as a file keeps them; the seed is each answer's own."""
    return {name: value for name, value in vars(settings).items() if name not in ("seed", "stop")}


def describe(conversation: Conversation) -> str:
    """What the conversation has cost, in a line or two."""
    lines = [_described(conversation.answers)]
    seed = conversation.answers[-1].seed if conversation.answers else None
    if seed is not None:
        lines[0] += f"; seed of the last: {seed}"
    if conversation.taken_back:
        lines.append(f"taken back: {_described(conversation.taken_back)}")
    return "\n".join(lines)


def _described(answers: Iterable[Answer]) -> str:
    answers = list(answers)
    sums = dict.fromkeys(_COUNTS, 0)
    for answer in answers:
        for name, count in _counts(answer.record).items():
            sums[name] += count
    tokens = sums["accepted"] + sums["confirmed"] + sums["target"]
    cut = sum(answer.is_cut_off for answer in answers)
    return (
        f"{len(answers)} answer{'s' * (len(answers) != 1)}{f' ({cut} cut off)' * (cut > 0)}; {tokens} tokens: "
        f"{sums['accepted']} accepted on the device, {sums['confirmed']} confirmed by the target, {sums['target']} "
        f"written by the target; {sums['calls']} calls; bytes: {sums['bytes_up']} up, {sums['bytes_down']} down, "
        f"{sums['bytes_prompt']} of prompts"
    )


def _counts(record: Mapping[str, Any]) -> dict[str, int]:
    figures = record.get("figures", {})
    return {name: figures.get(name, 0) for name in _COUNTS}


def _records(given: object, answers: int) -> list[dict[str, Any]]:
    """How each answer came about, as a file has it; files of other programs have nothing of it."""
    if given is None:
        return [{} for _ in range(answers)]
    if not isinstance(given, list) or len(given) != answers:
        raise InputError(f"`answers` must be a list of {answers}, as many as there are turns of the assistant")
    for record in given:
        if not isinstance(record, dict):
            raise InputError("`answers` must hold objects")
        for name, kind in _KINDS.items():
            if name in record and (not isinstance(record[name], kind) or isinstance(record[name], bool)):
                raise InputError(f"`answers` must have {name} of the kind {kind.__name__}")
        if any(type(count) is not int for count in _counts(record).values()):
            raise InputError("`answers` must count in whole numbers")
    return given


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
