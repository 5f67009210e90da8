"""What a request to `/v1/completions` is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_client.decoding.text import Event
from edge_client.server.answers import text_of
from edge_client.server.choices import ChoicesAnswer
from edge_client.stream import Completion


class CompletionAnswer(ChoicesAnswer):
    """Texts."""

    prefix = "cmpl"
    kind = chunk_kind = "text_completion"

    def _whole_choice(self, completion: Completion) -> dict[str, Any]:
        return {"text": completion.text}

    def _piece(self, number: int, events: Sequence[Event], done: Completion | None = None) -> dict[str, Any]:
        return {"text": text_of(events)}

    def _logprobs(self, completion: Completion) -> dict[str, Any]:
        offsets = [0]
        for piece in completion.pieces:
            offsets.append(offsets[-1] + len(piece))
        return {
            "tokens": list(completion.pieces),
            "token_logprobs": [None if nll is None else -nll for nll in completion.nll],
            "top_logprobs": None,
            "text_offset": offsets[:-1],
        }
