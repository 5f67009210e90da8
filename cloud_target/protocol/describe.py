"""What `Describe` answers: who the target is, and how much may be asked of it."""

from __future__ import annotations

from cloud_target.engine.interface import Engine
from cloud_target.protocol.requests import Limits
from shared.grammar import library
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

# The longest step that the message can tell, microseconds: more than an hour.
_LONGEST = (1 << 32) - 1


def describe(engine: Engine, limits: Limits, bundle: wire.OfferedBundle | None = None) -> wire.DescribeResponse:
    """The description of a target to a caller with these limits.

    Args:
        bundle: what it offers to edges.
    """
    who = engine.description
    return wire.DescribeResponse(
        name=who.name,
        fingerprint=who.fingerprint,
        tokenizer_fingerprint=who.tokenizer_fingerprint,
        vocabulary=limits.vocabulary,
        context=limits.context,
        max_request_tokens=limits.max_request_tokens,
        dtype=who.dtype,
        protocol=codec.REVISION,
        step_us=min(round(1e6 * engine.step), _LONGEST),
        grammar_engine=library.version() if engine.tokenizer is not None else "",
        repeatable=who.repeatable,
        adapters=[wire.Adapter(name=one.name, fingerprint=one.fingerprint) for one in who.adapters],
        bundle=bundle,
    )
