"""Between the wire's messages and the values that both sides work with.

What is packed: audits as two bitmaps and one byte of log-likelihood a token. What is checked: everything that can be
wrong in a message alone, without knowing the session or the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.config import Coupling, Sampling
from shared.errors import ProtocolError
from shared.wire.v1 import target_pb2 as wire

# Of the contract in proto/: another number wherever a field, or its absence, means something else than before. 3: there
# are requests with guesses, which a target of before would take for empty requests and refuse.
REVISION = 3
SESSION_ID_BYTES = 16
# Characters of a target's fingerprint, which are plain ASCII.
LONGEST_FINGERPRINT = 64
MAX_END_IDS = 64
# Seconds between two words about how far a text is read, at least and at most.
LEAST_READING, MOST_READING = 0.05, 1.0
MASS_TOLERANCE = 1e-3
_NLL_SCALE = 64.0
# The least top-p that travels: a float32 holds nothing much smaller, and with either only the likeliest token survives.
_LEAST_TOP_P = 1e-37

_COUPLINGS = {Coupling.GUMBEL: wire.COUPLING_GUMBEL, Coupling.RESIDUAL: wire.COUPLING_RESIDUAL}


@dataclass(frozen=True)
class AuditedTokens:
    """What the target thinks of some tokens in order of position.

    Attributes:
        off_strict: x is not the target's own choice, ``bool [n]``.
        unlikely: x is a word that the target would hardly have written, ``bool [n]``.
        nll: -ln p1(x), p1 at temperature 1, nats, ``float64 [n]``; on the wire at most 15.9 and in 255 steps.
    """

    off_strict: np.ndarray
    unlikely: np.ndarray
    nll: np.ndarray

    def __len__(self) -> int:
        return len(self.nll)


def check_revision(target: wire.DescribeResponse) -> None:
    """See that a target means by its messages what we mean.

    Raises:
        ProtocolError: it speaks another revision of the contract.
    """
    if target.protocol != REVISION:
        where = "where the target runs" if target.protocol < REVISION else "here"
        raise ProtocolError(
            f"the target speaks revision {target.protocol} of the protocol, and this program revision {REVISION}; "
            f"update Tandem {where}"
        )


def encode_bitmap(flags: Sequence[bool] | np.ndarray) -> bytes:
    """Flags as bits, least significant first, padded with zeros to whole bytes."""
    return np.packbits(np.asarray(flags, dtype=bool), bitorder="little").tobytes()


def decode_bitmap(data: bytes, count: int) -> np.ndarray:
    """The first `count` flags, ``bool [count]``.

    Raises:
        ProtocolError: the number of bytes is not the one that `count` flags need.
    """
    if len(data) != (count + 7) // 8:
        raise ProtocolError(
            f"a bitmap of {count} tokens has {len(data)} bytes, not {(count + 7) // 8}; use one version on both sides"
        )
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count, bitorder="little").astype(bool)


def encode_nll(nats: Sequence[float] | np.ndarray) -> bytes:
    """Negative log-likelihoods (nats, 0 or more) as one byte each: round(64 sqrt(nats)), at most 255.

    The square root spends the steps where tokens are: the error is below sqrt(nats) / 64, and 15.9 nats is the top.
    """
    codes = np.rint(_NLL_SCALE * np.sqrt(np.maximum(np.asarray(nats, dtype=np.float64), 0.0)))
    return np.minimum(codes, 255.0).astype(np.uint8).tobytes()


def decode_nll(codes: bytes) -> np.ndarray:
    """What `encode_nll` packed, nats, ``float64 [len(codes)]``."""
    return np.square(np.frombuffer(codes, dtype=np.uint8) / _NLL_SCALE)


def encode_audit(tokens: AuditedTokens) -> wire.Audit:
    """The audit as a message."""
    return wire.Audit(
        off_strict=encode_bitmap(tokens.off_strict),
        unlikely=encode_bitmap(tokens.unlikely),
        nll=encode_nll(tokens.nll),
    )


def decode_audit(message: wire.Audit) -> AuditedTokens:
    """The audit of a message.

    Raises:
        ProtocolError: the three fields speak of different numbers of tokens.
    """
    count = len(message.nll)
    return AuditedTokens(
        decode_bitmap(message.off_strict, count), decode_bitmap(message.unlikely, count), decode_nll(message.nll)
    )


def encode_session(
    session_id: bytes,
    sampling: Sampling,
    coupling: Coupling,
    end_ids: Sequence[int] = (),
    grammar: wire.Grammar | None = None,
    reading: float = 0.0,
) -> wire.Session:
    """What the first request of a stream carries; `reading` in seconds, see `Session.reading_ms`."""
    return wire.Session(
        session_id=session_id,
        sampling=wire.Sampling(
            seed=sampling.seed,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=max(sampling.top_p, _LEAST_TOP_P),
            end_ids=end_ids,
        ),
        coupling=_COUPLINGS[coupling],
        grammar=grammar,
        reading_ms=round(1e3 * reading),
    )


def decode_reading(milliseconds: int) -> float:
    """Seconds between two words about how far a text is read; 0 for none."""
    return min(max(milliseconds / 1e3, LEAST_READING), MOST_READING) if milliseconds else 0.0


def decode_sampling(message: wire.Sampling) -> Sampling:
    """The sampling parameters of a message; `end_ids` are read from the message itself.

    A float32 is read as the shortest decimal that means it, so that 0.7 stays 0.7 on both sides.

    Raises:
        InputError: a value out of range.
    """
    return Sampling(
        temperature=float(str(np.float32(message.temperature))),
        top_k=message.top_k,
        top_p=float(str(np.float32(message.top_p))),
        seed=message.seed,
    )


def decode_coupling(value: int) -> Coupling:
    """The coupling that the wire's number names.

    Raises:
        ProtocolError: none of them.
    """
    for coupling, number in _COUPLINGS.items():
        if number == value:
            return coupling
    raise ProtocolError(f"coupling {value} is unknown; send COUPLING_GUMBEL or COUPLING_RESIDUAL")


def encode_distribution(ids: np.ndarray, probabilities: np.ndarray) -> wire.SparseDistribution:
    """A distribution on a few tokens, ``int64 [n]`` and ``float64 [n]``, as a message.

    Probabilities too small for a float32 (below 1e-45) are left out: no token is ever drawn with them.
    """
    sent = probabilities.astype(np.float32) > 0
    return wire.SparseDistribution(ids=ids[sent].tolist(), probabilities=probabilities[sent].tolist())


def decode_distribution(message: wire.SparseDistribution, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """A message's distribution, ``int64 [n]`` and ``float64 [n]`` with sum 1.

    Raises:
        ProtocolError: empty, lengths that differ, an id twice or outside the vocabulary, a probability that is not
            above 0, or a sum further than 1e-3 from 1.
    """
    ids = np.fromiter(message.ids, dtype=np.int64, count=len(message.ids))
    probabilities = np.fromiter(message.probabilities, dtype=np.float64, count=len(message.probabilities))
    if len(ids) == 0 or len(ids) != len(probabilities):
        raise ProtocolError(
            f"q has {len(ids)} ids and {len(probabilities)} probabilities; send one or more of each, in pairs"
        )
    if len(np.unique(ids)) != len(ids) or ids.max() >= vocabulary:
        raise ProtocolError(f"the ids of q must be distinct and below the vocabulary of {vocabulary}; send each once")
    mass = probabilities.sum()
    if not (np.isfinite(mass) and (probabilities > 0).all() and abs(mass - 1.0) <= MASS_TOLERANCE):
        raise ProtocolError("the probabilities of q must be above 0 and sum to 1")
    return ids, probabilities / mass
