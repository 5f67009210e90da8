"""What requests are answered with: OpenAI's objects, and what Tandem knows beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any
from uuid import uuid4

from edge_client.decoding.text import Event, Provisional, Token
from edge_client.server.asked import Asked
from edge_client.server.calls import Call
from edge_client.stream import Completion
from shared.stopping import FinishReason

_REASONS = {FinishReason.END: "stop", FinishReason.STOP: "stop", FinishReason.LENGTH: "length"}


def finish_reason(completion: Completion) -> str:
    """OpenAI's word for why a text ended; ours where it has none."""
    return _REASONS.get(completion.finish_reason, str(completion.finish_reason))


@dataclass
class Answer:
    """The answer to one request, as a whole or in chunks.

    Attributes:
        completions: of the choices that have ended, by number.
    """

    asked: Asked
    fingerprint: str
    completions: dict[int, Completion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._id = f"{'chatcmpl' if self.asked.is_chat else 'cmpl'}-{uuid4().hex}"
        self._created = int(time())
        self._calls: dict[int, Call] = {}

    def whole(self) -> dict[str, Any]:
        """All choices, once they have ended."""
        choices = []
        for number, done in sorted(self.completions.items()):
            text = {"message": self._message(done)} if self.asked.is_chat else {"text": done.text}
            logprobs = self._logprobs(done.pieces, done.nll)
            choices.append({"index": number, **text, "logprobs": logprobs, "finish_reason": self._reason(done)})
        return self._head("") | {"choices": choices, "usage": self.usage()}

    def opening(self, number: int) -> dict[str, Any]:
        """The first chunk of a choice in a chat."""
        content = None if self.asked.structure.calls else ""
        return self._chunk({"index": number, "delta": {"role": "assistant", "content": content}})

    def said(self, number: int, events: Sequence[Event]) -> dict[str, Any] | None:
        """What came of a choice; None if that is nothing to be told.

        How likely the tokens are is known of those that the target has seen: not yet.
        """
        text = "".join(event.text for event in events if isinstance(event, Token))
        said = self._said(number, text)
        if not said and not self.asked.events:
            return None
        chunk: dict[str, Any] = {"delta": said} if self.asked.is_chat else {"text": text}
        if self.asked.events:
            chunk["tandem"] = {"events": [_plain(event) for event in events]}
        return self._chunk({"index": number, **chunk})

    def end(self, number: int, completion: Completion) -> dict[str, Any]:
        """The last chunk of a choice; how likely the tokens are stands here, where the target has seen them."""
        self.completions[number] = completion
        chunk: dict[str, Any] = {"delta": self._said(number, "", completion)} if self.asked.is_chat else {"text": ""}
        logprobs = self._logprobs(completion.pieces, completion.nll)
        return self._chunk({"index": number, **chunk, "logprobs": logprobs, "finish_reason": self._reason(completion)})

    def figures(self) -> dict[str, Any]:
        """The chunk behind all others, for clients that want to know what it took."""
        return self._head(".chunk") | {"choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        """Tokens as OpenAI counts them, and under `tandem` a choice each with what went on."""
        done = [completion for _, completion in sorted(self.completions.items())]
        prompt = sum(completion.prompt_tokens for completion in done[:: self.asked.choices])
        written = sum(len(completion.token_ids) for completion in done)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": sum(completion.usage.reused_target for completion in done)},
            "tandem": [self._report(number, completion) for number, completion in enumerate(done)],
        }

    def _said(self, number: int, text: str, done: Completion | None = None) -> dict[str, Any]:
        """What a piece of text adds to the message of a choice; nothing where that is so."""
        if not self.asked.structure.calls:
            return {"content": text} if text else {}
        call = self._calls.setdefault(number, Call(self.asked.structure.calls))
        call.write(text, is_end=done is not None, is_whole=done is not None and self._is_call(done))
        return {"tool_calls": news} if (news := call.news()) else {}

    def _message(self, done: Completion) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": done.text, "refusal": None}
        if self.asked.structure.calls:
            call = Call(self.asked.structure.calls)
            call.write(done.text, is_end=True, is_whole=self._is_call(done))
            message |= {"content": None, "tool_calls": call.whole() or None}
        return message

    def _is_call(self, done: Completion) -> bool:
        """Whether a text is a whole call of a function: it ends where its grammar does."""
        return bool(self.asked.structure.calls) and done.finish_reason is FinishReason.END

    def _reason(self, done: Completion) -> str:
        return "tool_calls" if self._is_call(done) else finish_reason(done)

    def _report(self, number: int, completion: Completion) -> dict[str, Any]:
        report = completion.usage.as_dict() | {
            "mode": str(completion.mode),
            "seed": seed_of(self.asked, number),
            "verifiers": completion.verifiers,
            "explanation": completion.explanation,
            "warnings": completion.warnings,
        }
        if completion.cost:
            report["cost"] = completion.cost.as_dict()
        if self.asked.origins:
            columns = completion.token_ids, completion.pieces, completion.origins, completion.nll, completion.doubts
            report["written"] = [
                {
                    "id": id_,
                    "text": piece,
                    "origin": str(origin),
                    "logprob": None if nll is None else -nll,
                    "doubt": _shortly(doubt),
                }
                for id_, piece, origin, nll, doubt in zip(*columns, strict=True)
            ]
        return report

    def _logprobs(self, pieces: Sequence[str], nll: Sequence[float | None]) -> dict[str, Any] | None:
        """How likely each token is to the target at temperature 1; null where it has not seen one."""
        if not self.asked.logprobs:
            return None
        logprobs = [None if each is None else -each for each in nll]
        if self.asked.is_chat:
            content = [
                {"token": piece, "logprob": logprob, "bytes": list(piece.encode()), "top_logprobs": []}
                for piece, logprob in zip(pieces, logprobs, strict=True)
            ]
            return {"content": content, "refusal": None}
        offsets = [0]
        for piece in pieces:
            offsets.append(offsets[-1] + len(piece))
        return {"tokens": list(pieces), "token_logprobs": logprobs, "top_logprobs": None, "text_offset": offsets[:-1]}

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        chunk = self._head(".chunk") | {"choices": [{"logprobs": None, "finish_reason": None} | choice]}
        return chunk | ({"usage": None} if self.asked.with_usage else {})

    def _head(self, suffix: str) -> dict[str, Any]:
        kind = f"chat.completion{suffix}" if self.asked.is_chat else "text_completion"
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self.asked.model,
            "system_fingerprint": self.fingerprint,
        }


def seed_of(asked: Asked, number: int) -> int:
    """The seed of a choice: equal prompts have seeds one after the other."""
    return (asked.seed + number % asked.choices) % (1 << 64)


def _plain(event: Event) -> dict[str, Any]:
    """What happened to a text, as plain values."""
    match event:
        case Token():
            token = {"id": event.id, "text": event.text, "origin": str(event.origin), "doubt": _shortly(event.doubt)}
            return {"type": "token", **token}
        case Provisional():
            return {"type": "provisional", "id": event.id, "text": event.text}
    return {"type": "retract", "tokens": event.tokens, "text": event.text}


def _shortly(doubt: float | None) -> float | None:
    """A doubt with as many digits as mean something; it travels once a token."""
    return None if doubt is None else round(doubt, 6)
