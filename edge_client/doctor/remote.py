"""A target that answers: whether it takes this device, what it serves, and whether the bundle fits it."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from edge_client.auto.pace import Pace
from edge_client.bundles.bundle import Bundle
from edge_client.doctor.deadline import Deadline
from edge_client.promise.drift import mismatches, rounding
from edge_client.settings import Settings
from edge_client.target.description import Description
from edge_client.target.grpc_transport import GrpcTransport
from shared.errors import LinkBroken, TargetMismatch, TargetUnavailable
from shared.findings import Check, Finding, ok, warn
from shared.grammar import library
from shared.wire.v1 import target_pb2 as wire

# Seconds for one answer.
ANSWER = 4.0


class Remote:
    """The first checks of one target, and what all of them share; those of others are skipped where these fail.

    Args:
        transport: to it; closed by whoever made it.
        address: for people.
        bundle: whose tokens it is to judge; None where it could not be loaded.
        settings: how they are drawn.
        deadline: for all checks of the target.
        follows: texts are written with the bundle that the target offers, where it offers one.

    Attributes:
        description: what it serves, once it has said so; None again where the bundle does not fit.
        fits: the bundle was calibrated for this very target.
        pace: what was measured, of the target and of this device.
        calls, padding, tokens, texts: what was sent: calls of Describe, bytes that mean nothing, ids of tokens, and
            texts that were written for a trial.
    """

    def __init__(
        self,
        transport: GrpcTransport,
        address: str,
        bundle: Bundle | None,
        settings: Settings,
        deadline: Deadline,
        follows: bool = False,
    ) -> None:
        self.transport, self.address, self.bundle = transport, address, bundle
        self.settings, self.deadline, self._follows = settings, deadline, follows
        self.description: Description | None = None
        self.fits = False
        self.pace = Pace()
        self.calls = self.padding = self.tokens = self.texts = 0

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        return [("describe", self._describe), ("fit", self._fit)]

    def call(self, seconds: float, padding: bytes = b"") -> float:
        """One call of Describe, which makes no pass; returns what it took, seconds.

        Raises:
            TargetError: it failed.
        """
        begin = perf_counter()
        self._ask(seconds, padding)
        return perf_counter() - begin

    def _ask(self, seconds: float, padding: bytes = b"") -> wire.DescribeResponse:
        self.calls += 1
        self.padding += len(padding)
        return self.transport.describe(seconds, padding)

    def _describe(self) -> Iterator[Finding]:
        try:
            # A failure has its reasons, and to find them out takes some more seconds.
            message = self.deadline.within(2 * ANSWER, lambda seconds: self._ask(min(ANSWER, seconds)))
        except (LinkBroken, TimeoutError):
            raise TargetUnavailable(
                f"{self.address} takes connections, and gives no answer; see that a target listens there, and turn "
                "encryption on if it wants that",
                options=("target", "tls", "ca"),
            ) from None
        found = Description.from_wire(message)
        yield ok("identity", "the target takes this device")
        step = f"{1e3 * found.step:.1f} ms for a token when it started, " if found.step else ""
        yield ok(
            "describe",
            f"{found.name}, {found.dtype}, {step}{found.context} tokens of context, vocabulary {found.vocabulary}, "
            f"fingerprint {found.fingerprint}" + (f", adapters {', '.join(found.adapters)}" if found.adapters else ""),
            name=found.name,
            dtype=found.dtype,
            step=found.step or None,
            context=found.context,
            vocabulary=found.vocabulary,
            fingerprint=found.fingerprint,
            tokenizer_fingerprint=found.tokenizer_fingerprint,
            adapters=dict(found.adapters),
        )
        same = "for a seed, exact writes the very text of cloud"
        close = f"near-ties turn in {found.dtype}: exact writes as the target does, not always the very text of cloud"
        yield ok("exact", same if found.repeatable else close, repeatable=found.repeatable)
        try:
            found.check_grammars(library.version(), self.address)
            yield ok("schemas", f"both sides keep texts to schemas, with {found.grammar_engine}")
        except TargetMismatch as mismatch:
            yield warn("schemas", f"{mismatch}; other texts can be written")
        self.pace.told = found.step or None
        self.description = found

    def _fit(self) -> Iterator[Finding]:
        if (found := self.description) is None or self.bundle is None:
            return
        manifest, self.description = self.bundle.manifest, None
        if self._follows and found.bundle is not None and found.fingerprint != manifest.target_fingerprint:
            yield warn(
                "fit",
                "the target offers a bundle of its own, with which texts are written, and it is not here yet: "
                "`edge-client bundle pull` fetches it, and then the rest can be examined",
            )
            return
        found.check(manifest, self.address)
        self.description = found
        troubles = mismatches(manifest, found, self.settings.criterion)
        self.fits = not troubles
        for trouble in troubles:
            yield warn("fit", trouble)
        for sentence in rounding(manifest, found, self.settings):
            yield warn("noise", sentence)
        if found.context < manifest.context:
            yield warn(
                "fit",
                f"the target holds {found.context} tokens, and the bundle {manifest.context}: texts end where the "
                "target's context does",
            )
        if not troubles:
            yield ok("fit", f"the bundle {manifest.name} was made for this target")
