"""The texts that edges pretend to write: the target's own, recorded before the test.

An edge that follows them is right or wrong exactly where its luck says so, and every answer can be compared with the
recording: a target that answers something else under load than alone is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from cloud_target.bench.plan import Plan
from shared import prefix_hash as prefix
from shared.config import Coupling, Sampling
from shared.errors import InputError
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

# How many different texts are recorded, at most. An edge writes the same one again and again, and few edges write the
# same at once, because a target may spare itself the reading of beginnings that it knows.
DIFFERENT = 64


@dataclass(frozen=True)
class Opening:
    """A prompt and how it is to be continued."""

    prompt: tuple[int, ...]
    sampling: Sampling

    def session(self, session_id: bytes) -> wire.Session:
        """What the first request of a stream carries."""
        return codec.encode_session(session_id, self.sampling, Coupling.GUMBEL)


class Text:
    """A recorded text.

    Attributes:
        opening: of it.
        ids: prompt and continuation.
        hashes: of its prefixes; ``hashes[i]`` is that of ``ids[:i]``.
    """

    def __init__(self, opening: Opening, continuation: list[int]) -> None:
        self.opening = opening
        self.ids = [*opening.prompt, *continuation]
        self.hashes = [0]
        for token in self.ids:
            self.hashes.append(prefix.extend(self.hashes[-1], (token,)))

    @property
    def begin(self) -> int:
        """Where the continuation begins."""
        return len(self.opening.prompt)

    def wrong(self, position: int, vocabulary: int) -> int:
        """A token that is not the one at `position`."""
        return (self.ids[position] + 1) % vocabulary


def openings(plan: Plan, vocabulary: int, context: int) -> list[Opening]:
    """Random prompts, half of them greedy and half at temperature 0.7.

    Raises:
        InputError: prompt and text do not fit in the target's context.
    """
    shortest, longest = plan.prompt_tokens
    if longest + plan.text_tokens > context:
        raise InputError(
            f"a prompt of {longest} tokens and {plan.text_tokens} more do not fit in the target's context of "
            f"{context}; use smaller --prompt-tokens or --text-tokens"
        )
    chance = Random(plan.seed)
    return [
        Opening(
            tuple(chance.randrange(vocabulary) for _ in range(chance.randint(shortest, longest))),
            Sampling(0.7 if i % 2 else 0.0, 0, 0.9, seed=plan.seed + i),
        )
        for i in range(min(plan.sessions, DIFFERENT))
    ]
