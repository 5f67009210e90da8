"""What a target says that it serves, and whether a bundle fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from edge_client.target.verdict import nonsense
from shared.contents import Contents
from shared.errors import InputError, TargetMismatch
from shared.manifest import Manifest
from shared.wire import codec
from shared.wire.bundles import decode_contents
from shared.wire.v1 import target_pb2 as wire

# Fields that are not those of the message as they are.
_MADE = {"step", "adapters", "bundle"}


@dataclass(frozen=True)
class Description:
    """What a target serves.

    Attributes:
        name: for people.
        fingerprint: over its configuration and weights.
        tokenizer_fingerprint: see `shared.identity`.
        vocabulary: token ids are 0 .. vocabulary - 1.
        context: longest sequence, prompt included, in tokens.
        max_request_tokens: most tokens in one request.
        dtype: arithmetic of the forward pass.
        step: what a pass over one token took when the target started, seconds; 0 where it does not say.
        grammar_engine: what it keeps texts to grammars with, and its version; "" where it does not.
        repeatable: its own tokens hang on the text alone, so that `exact` is `cloud`, token for token.
        adapters: what else can write texts there, by the name of an adapter: the fingerprint of the target with it.
        bundle: what it offers to edges, as it was sent; None where it offers nothing.
    """

    name: str
    fingerprint: str
    tokenizer_fingerprint: str
    vocabulary: int
    context: int
    max_request_tokens: int
    dtype: str
    step: float = 0.0
    grammar_engine: str = ""
    repeatable: bool = False
    adapters: Mapping[str, str] = field(default_factory=dict)
    bundle: wire.OfferedBundle | None = None

    @classmethod
    def from_wire(cls, message: wire.DescribeResponse) -> Description:
        """Read it from its message.

        Raises:
            ProtocolError: another revision of the protocol, a limit of 0, or a fingerprint or the name of an engine or
                adapter that is too long or not ASCII.
        """
        codec.check_revision(message)
        adapters = {one.name: one.fingerprint for one in message.adapters}
        words = (message.fingerprint, message.tokenizer_fingerprint, message.grammar_engine, *chain(*adapters.items()))
        if not all(len(one) <= codec.LONGEST_FINGERPRINT and one.isascii() and one.isprintable() for one in words):
            raise nonsense("a fingerprint or name that is longer than 64 characters or not plain ASCII")
        if not (message.vocabulary and message.context and message.max_request_tokens):
            raise nonsense("a description without its vocabulary, its context or its longest request")
        same = {name: getattr(message, name) for name in cls.__dataclass_fields__ if name not in _MADE}
        bundle = message.bundle if message.HasField("bundle") else None
        return cls(**same, step=message.step_us / 1e6, adapters=adapters, bundle=bundle)

    def adapted(self, adapter: str, address: str) -> Description:
        """The target with one of its adapters; as it is, where `adapter` is "".

        Args:
            address: of the target, for the message.

        Raises:
            InputError: it has no such adapter.
        """
        if not adapter:
            return self
        if adapter not in self.adapters:
            known = f"what it has is {', '.join(self.adapters)}" if self.adapters else "it has none; leave it out"
            raise InputError(f"{self.name} at {address} has no adapter {adapter!r}; {known}", options=("adapter",))
        return replace(self, name=f"{self.name} with {adapter}", fingerprint=self.adapters[adapter])

    @property
    def offered(self) -> Contents:
        """The bundle that it offers to edges. Looked at where it is wanted only: others can do without.

        Raises:
            InputError: it offers none.
            ProtocolError: what it offers is no bundle.
        """
        if self.bundle is None:
            raise InputError(f"{self.name} offers no bundle; give one of your own", options=("bundle",))
        return decode_contents(self.bundle)

    def check_grammars(self, ours: str, address: str) -> None:
        """See that this target can keep a text to a grammar, as this device does.

        Args:
            ours: what follows grammars here, and its version.
            address: of the target, for the message.

        Raises:
            TargetMismatch: it cannot, or allows other tokens.
        """
        if self.grammar_engine == ours:
            return
        if not self.grammar_engine:
            why = "keeps no text to a schema; llguidance has to be installed there, and a Tandem that knows of it"
        else:
            why = (
                f"follows grammars with {self.grammar_engine}, and this device with {ours}, which may allow other "
                "tokens; install the same version on both sides"
            )
        raise TargetMismatch(f"{self.name} at {address} {why}. The mode local needs no target", options=("mode local",))

    def instead_of(self, other: Description, address: str) -> str:
        """A sentence: it is here, where there was another target."""
        ours, theirs = (f"{one.name} ({one.fingerprint[:8]})" for one in (self, other))
        return f"the target at {address} is {ours} now, and no longer {theirs}"

    def cannot_replace(self, other: Description, follows: bool) -> str:
        """Why it cannot write a text that was begun for another target, a clause; "" where it can.

        Args:
            follows: the text is kept to a grammar.
        """
        if (self.tokenizer_fingerprint, self.vocabulary) != (other.tokenizer_fingerprint, other.vocabulary):
            return "has another tokenizer"
        if min(self.context, self.max_request_tokens) < min(other.context, other.max_request_tokens):
            return f"holds {self.context} tokens only"
        if follows and self.grammar_engine != other.grammar_engine:
            return "keeps texts to schemas in another way"
        return ""

    def check(self, manifest: Manifest, address: str) -> None:
        """See that this target can judge the tokens of a bundle.

        Args:
            address: of the target, for the message.

        Raises:
            TargetMismatch: another tokenizer, so that the same ids mean other words.
        """
        if (self.tokenizer_fingerprint, self.vocabulary) != (manifest.tokenizer_fingerprint, manifest.vocabulary):
            raise TargetMismatch(
                f"{self.name} at {address} has another tokenizer ({self.vocabulary} tokens) than the bundle "
                f"{manifest.name} ({manifest.vocabulary}); use a bundle that was made for it, or another target",
                options=("bundle", "target"),
            )
