"""A target that runs: reached, healthy, who it is, and how long a question takes."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from time import perf_counter
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud_target.doctor.files import dates
from cloud_target.options.dial import DialSettings, Line
from shared import prefix_hash as prefix
from shared.config import Coupling, Sampling
from shared.errors import LimitReached, ProtocolError
from shared.findings import Check, Finding, fail, ok, warn
from shared.wire import codec, metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# How long a target may take for one answer, seconds.
TIMEOUT = 5.0
# What it is asked about.
PROMPT = (1, 2, 3, 4)
_Status = health_pb2.HealthCheckResponse


class Remote:
    """The checks of one running target; later ones are skipped where earlier ones leave no hope.

    Args:
        settings: where it is, and what it wants to see.
        timeout: how long it may take for one answer, seconds.

    Raises:
        InputError: see `Line`.
    """

    def __init__(self, settings: DialSettings, timeout: float = TIMEOUT) -> None:
        self._settings, self._timeout = settings, timeout
        self._line = Line(settings)
        self._channel = self._line.channel()
        self._stub = TargetServiceStub(self._channel)
        self._lost = False

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        steps = {
            "reach": self._reach,
            "tls": self._tls,
            "health": self._health,
            "describe": self._describe,
            "decode": self._decode,
        }
        return [(name, self._guarded(name, step)) for name, step in steps.items()]

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _guarded(self, name: str, step: Callable[[], Iterable[Finding]]) -> Callable[[], Iterator[Finding]]:
        def check() -> Iterator[Finding]:
            if self._lost:
                return
            try:
                yield from step()
            except grpc.RpcError as error:
                self._lost = True
                # Whoever is over a limit for the moment has reached a target in good order.
                trailing = error.trailing_metadata() or ()
                is_limit = (metadata.REASON, LimitReached.reason) in trailing
                ids = (one.value for one in trailing if one.key == metadata.REQUEST_ID)
                known_as = metadata.clean_id(next(ids, None))  # in the target's log
                named = {"request_id": known_as} if known_as else {}
                yield (warn if is_limit else fail)(name, self._why(error), **named)

        return check

    def _reach(self) -> Iterator[Finding]:
        begun = perf_counter()
        try:
            socket.create_connection((self._line.host, self._line.port), self._timeout).close()
        except OSError as error:
            self._lost = True
            yield fail(
                "reach",
                f"no connection to {self._line.address} ({(error.strerror or str(error)).lower()}); check the address, "
                "the firewall, and that `cloud-target serve` runs there with that --port",
            )
            return
        yield ok("reach", f"{self._line.address} answers in {1e3 * (perf_counter() - begun):.1f} ms")

    def _tls(self) -> Iterator[Finding]:
        settings = self._settings
        if not self._line.is_encrypted:
            if self._line.is_local:
                yield ok("tls", "not asked for, and the target is on this machine")
            else:
                yield warn("tls", "the link is not encrypted: whoever is between can read and change what is asked")
            return
        context = ssl.create_default_context(cafile=settings.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # gRPC, whose answer counts, is not as strict
        context.set_alpn_protocols(["h2"])
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert, settings.client_key, password=lambda: "")
        try:
            with (
                socket.create_connection((self._line.host, self._line.port), self._timeout) as plain,
                context.wrap_socket(plain, server_hostname=self._line.host) as encrypted,
            ):
                yield dates("tls", dict(encrypted.getpeercert() or {}))
        except ssl.SSLCertVerificationError as error:
            self._lost = True
            yield fail(
                "tls", f"the certificate is not accepted ({error.verify_message}); check --ca and the host's name"
            )
        except OSError as error:
            self._lost = True
            yield fail("tls", f"no encrypted connection ({error}); does the target have --tls-cert?")

    def _health(self) -> Iterator[Finding]:
        begun = perf_counter()
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=self._timeout, wait_for_ready=True)
        if reply.status != _Status.SERVING:
            yield fail(
                "health", f"it says {_Status.ServingStatus.Name(reply.status)}: it is shutting down, or still starting"
            )
        else:
            yield ok("health", f"SERVING, in {1e3 * (perf_counter() - begun):.1f} ms")

    def _describe(self) -> Iterator[Finding]:
        who = self._stub.Describe(wire.DescribeRequest(), timeout=self._timeout, metadata=self._line.metadata)
        try:
            codec.check_revision(who)
        except ProtocolError as error:
            self._lost = True
            yield fail("describe", str(error))
            return
        step = f"{who.step_us / 1e3:.1f} ms for a token when it started, " if who.step_us else ""
        yield ok(
            "describe",
            f"{who.name}, {who.dtype}, {step}{who.context} tokens of context, vocabulary {who.vocabulary}, "
            f"fingerprint {who.fingerprint}{_offer(who)}",
        )

    def _decode(self) -> Iterator[Finding]:
        session = codec.encode_session(os.urandom(codec.SESSION_ID_BYTES), Sampling(0.0), Coupling.GUMBEL)
        requests: SimpleQueue[wire.DecodeRequest | None] = SimpleQueue()
        call = self._stub.Decode(iter(requests.get, None), timeout=6 * self._timeout, metadata=self._line.metadata)

        def ask(request: wire.DecodeRequest) -> tuple[wire.Verdict, float]:
            begun = perf_counter()
            requests.put(request)
            answer = next(call)
            if not answer.HasField("verdict"):
                raise ProtocolError("it does not answer a simple question with a verdict; run the same version there")
            return answer.verdict, 1e3 * (perf_counter() - begun)

        count = len(PROMPT)
        try:
            first, opening = ask(
                wire.DecodeRequest(session=session, request_id=1, tokens=PROMPT, audit_from=count, judge_from=count)
            )
            text = (*PROMPT, first.token)
            second, whole = ask(
                wire.DecodeRequest(
                    request_id=2, position=len(text), prefix_hash=prefix.extend(0, text), tokens=PROMPT[:1]
                )
            )
        finally:
            requests.put(None)
        for _ in call:  # until it has ended: the token may be allowed one call at a time
            pass
        release = wire.ReleaseRequest(session_id=session.session_id)
        self._stub.Release(release, timeout=self._timeout, metadata=self._line.metadata)
        queue, forward = second.timing.queue_us / 1e3, second.timing.forward_us / 1e3
        yield ok(
            "decode",
            f"a token is judged in {whole:.1f} ms: {queue:.1f} waiting, {forward:.1f} in the forward pass, "
            f"{max(whole - queue - forward, 0):.1f} under way; the first call took {opening:.1f}",
        )

    def _why(self, error: grpc.RpcError) -> str:
        """What a failed call means, and what to do."""
        code, details = error.code(), " ".join((error.details() or "").split())[:200]
        match code:
            case grpc.StatusCode.UNAUTHENTICATED:
                return details or "it does not know who asks; give its token with --token-file"
            case grpc.StatusCode.UNIMPLEMENTED:
                return "what answers there is not a Tandem target, or one of another version; check the address"
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED if not self._line.is_encrypted:
                return f"no answer ({details or code.name}); if it was started with --tls-cert, give --ca or --tls"
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED if not self._settings.client_cert:
                return (
                    f"no answer ({details or code.name}); if it was started with --client-ca, give --client-cert and "
                    "--client-key"
                )
            case _ if ";" in details:  # the target's own sentences say what to do
                return f"{code.name}: {details}"
            case _:
                return f"{code.name}: {details or 'no details'}; see the target's log"


def _offer(who: wire.DescribeResponse) -> str:
    return f"; edges may fetch {who.bundle.name} ({who.bundle.digest.hex()[:12]})" if who.HasField("bundle") else ""
