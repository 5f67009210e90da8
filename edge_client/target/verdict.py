"""What the target says, read from its messages and checked against what it was asked."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.config import Criterion
from shared.criteria import off_target
from shared.errors import ProtocolError
from shared.repetition import repeated
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire


def nonsense(what: str) -> ProtocolError:
    """The error for something that the contract does not allow."""
    return ProtocolError(f"the target sent {what}; both sides must run the same version of Tandem")


@dataclass(slots=True)
class Audit:
    """What the target thinks of a run of shown tokens.

    Attributes:
        position: of the first, in the whole sequence.
        off_strict: token i is not the target's own choice.
        unlikely: token i is a word that the target would hardly have written.
        repeating: token i goes on with a repetition.
        nll: -ln p1 of token i, p1 the target's distribution at temperature 1, nats.
    """

    position: int
    off_strict: list[bool] = field(default_factory=list)
    unlikely: list[bool] = field(default_factory=list)
    repeating: list[bool] = field(default_factory=list)
    nll: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.nll)

    def off(self, criterion: Criterion, strictly: Container[int] = ()) -> list[bool]:
        """Whether each token is off-target by one criterion, and by `strict` at the positions in `strictly`."""
        flags = zip(self.off_strict, self.unlikely, self.repeating, strict=True)
        return [
            off_target(Criterion.STRICT if position in strictly else criterion, *one)
            for position, one in enumerate(flags, self.position)
        ]

    def split(self, count: int) -> tuple[Audit, Audit]:
        """The audits of the first `count` tokens, and of the others."""
        return self._part(slice(count)), self._part(slice(count, None))

    def _part(self, part: slice) -> Audit:
        return Audit(
            self.position + (part.start or 0),
            self.off_strict[part],
            self.unlikely[part],
            self.repeating[part],
            self.nll[part],
        )

    def append(self, later: Audit) -> None:
        """Add the audit of the tokens that follow."""
        if not len(self):
            self.position = later.position
        self.off_strict += later.off_strict
        self.unlikely += later.unlikely
        self.repeating += later.repeating
        self.nll += later.nll


class Own(NamedTuple):
    """A token that the target wrote itself.

    Attributes:
        token: its id.
        nll, unlikely: as in `Audit`.
    """

    token: int
    nll: float
    unlikely: bool


@dataclass(slots=True)
class Verdict:
    """The target's answer to one call.

    Attributes:
        stands: how many of the judged tokens stand, in order.
        own: the target's own token after them; None where the text is over or the context full.
        audit: of the tokens shown since the last call, and of those judged that stand.
        fallen: the first judged token that does not stand, as an audit of one; empty where all stand.
    """

    stands: int
    own: Own | None
    audit: Audit
    fallen: Audit


@dataclass(frozen=True, slots=True)
class Question:
    """What one request asks, in positions of the whole sequence.

    Attributes:
        ids: the text up to the last token that is sent.
        audit_from, judge_from: where the audited and the judged tokens begin.
        write_on: how many tokens the target may write after its own.
        audit_only: whether a token of the target is wanted.
    """

    ids: Sequence[int]
    audit_from: int
    judge_from: int
    write_on: int = 0
    audit_only: bool = False

    @classmethod
    def writing(cls, ids: Sequence[int], count: int) -> Question:
        """One that has the target write `count` tokens after a text."""
        return cls(tuple(ids), len(ids), len(ids), write_on=count - 1)


@dataclass(frozen=True)
class Reader:
    """Reads the answers in one session.

    Attributes:
        vocabulary: ids are below it.
        context: longest sequence in tokens.
        end_ids: tokens that end a text.
    """

    vocabulary: int
    context: int
    end_ids: Collection[int]

    def verdict(self, message: wire.Verdict, question: Question) -> Verdict:
        """The verdict on `question`.

        Raises:
            ProtocolError: it cannot be the answer to it.
        """
        judged = len(question.ids) - question.judge_from
        if message.stands > judged:
            raise nonsense(f"a verdict in which {message.stands} of {judged} judged tokens stand")
        tokens = codec.decode_audit(message.audit)
        expected = question.judge_from - question.audit_from + message.stands
        if len(tokens) != expected:
            raise nonsense(f"an audit of {len(tokens)} tokens where {expected} were due")
        following = question.judge_from + message.stands
        audit = Audit(
            question.audit_from,
            tokens.off_strict.tolist(),
            tokens.unlikely.tolist(),
            repeated(question.ids, question.audit_from, following),
            tokens.nll.tolist(),
        )
        # Only a token that has just been found to stand ends the text, and those after it are not judged any more.
        ends = message.stands > 0 and question.ids[following - 1] in self.end_ids
        fallen = Audit(following)
        if message.stands < judged and not ends:
            repeating = repeated(question.ids, following, following + 1)
            fallen = Audit(following, [True], [message.fallen_unlikely], repeating, [0.0])
        if not message.HasField("token"):
            over = ends or following >= self.context
            if not (over or question.audit_only):
                raise nonsense("a verdict without the target's own token")
            return Verdict(message.stands, None, audit, fallen)
        if question.audit_only:
            raise nonsense("a token where only an audit was asked")
        if message.token_nll > 255:
            raise nonsense(f"a log-likelihood coded as {message.token_nll}, which must be at most 255")
        nll = float(codec.decode_nll(bytes([message.token_nll]))[0])
        return Verdict(message.stands, Own(self._checked(message.token), nll, message.token_unlikely), audit, fallen)

    def continuation(self, message: wire.Continuation, position: int, room: int) -> Iterator[Own]:
        """The tokens that the target wrote on from `position`, at most `room`.

        Raises:
            ProtocolError: they are not that.
        """
        if message.position != position:
            raise nonsense(f"a continuation at position {message.position} where {position} is next")
        if len(message.tokens) > room or len(message.nll) != len(message.tokens):
            raise nonsense(
                f"a continuation of {len(message.tokens)} tokens with {len(message.nll)} log-likelihoods, where {room} "
                "tokens or fewer were due"
            )
        if not message.tokens and not message.done:
            raise nonsense("a continuation that neither goes on nor ends")
        if any(token in self.end_ids for token in message.tokens[:-1]):
            raise nonsense("tokens after one that ends the text")
        unlikely = codec.decode_bitmap(message.unlikely, len(message.tokens)).tolist()
        return map(Own, map(self._checked, message.tokens), codec.decode_nll(message.nll).tolist(), unlikely)

    def _checked(self, token: int) -> int:
        if token >= self.vocabulary:
            raise nonsense(f"token id {token}, outside the vocabulary of {self.vocabulary}")
        return token
