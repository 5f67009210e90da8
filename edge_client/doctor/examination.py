"""Which checks there are to make: those of the device, and those of a target; cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

from edge_client.doctor.deadline import Deadline
from edge_client.doctor.device import PROMPT, Device
from edge_client.doctor.link import Link
from edge_client.doctor.pair import Wanted, pair
from edge_client.doctor.passes import Passes
from edge_client.doctor.remote import Remote
from edge_client.doctor.way import Way
from edge_client.doctor.worth import worth
from edge_client.settings import LOCAL_ONLY, Settings, is_local_only
from edge_client.target.credentials import Credentials
from edge_client.target.grpc_transport import RELEASE_WAIT, GrpcTransport
from shared.addresses import parse_address
from shared.findings import Check, Finding, ok, warn

# All checks of a target end within so many seconds.
LIMIT = 20.0


class Examination:
    """The checks of this device, and of a target where there is one; a context manager, which closes the connection.

    Args:
        device: to be examined.
        settings: how texts are written.
        target: "host:port"; None examines the device alone.
        credentials: makes what shows the target who asks; what is wrong with it is a finding, too.
        limit: for all checks of the target, seconds.
        follows: texts are written with the bundle that the target offers, where it offers one.
        trial: texts are to be written with this pair, and how; the limit is not for these.
    """

    def __init__(
        self,
        device: Device,
        settings: Settings,
        target: str | None,
        credentials: Callable[[], Credentials],
        limit: float = LIMIT,
        follows: bool = False,
        trial: Wanted | None = None,
    ) -> None:
        self._device, self._settings, self._trial = device, settings, trial
        self._target, self._make_credentials = target, credentials
        self._follows = follows
        self._deadline = Deadline(limit - RELEASE_WAIT)
        self._transport: GrpcTransport | None = None
        self._credentials = Credentials()

    def of_device(self) -> list[Check]:
        """Those without which this device cannot write at all."""
        return self._device.checks()

    def of_target(self) -> Iterator[Check]:
        """Those of the target and of the way to it, each to be run before the next one is asked for."""
        if is_local_only():
            yield "target", self._left_alone
            return
        if self._target is None:
            return
        yield "credentials", self._connect
        if self._transport is None:
            return
        way = Way(*parse_address(self._target), self._credentials, self._deadline)
        yield from way.checks()
        if way.is_lost:
            return
        remote = Remote(
            self._transport, self._target, self._device.bundle, self._settings, self._deadline, self._follows
        )
        for part in (remote, Link(remote), Passes(remote)):
            yield from part.checks()
        if (trial := self._trial) is None:
            yield "splitting", lambda: worth(remote, self._device.step)
        else:  # what is measured goes before what is expected
            yield "pair", lambda: pair(remote, trial)
        yield "sent", lambda: _sent(remote)

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> Iterator[Finding]:
        assert self._target is not None, "there is nothing to connect to"
        credentials = self._credentials = self._make_credentials()
        self._transport = GrpcTransport(self._target, credentials)  # which opens nothing yet
        shown = ["a token"] * (credentials.token is not None)
        shown += ["a certificate of its own"] * (credentials.client_cert is not None)
        yield ok(
            "credentials",
            f"this device shows {' and '.join(shown) or 'nothing'}" + ", over TLS" * credentials.tls,
            token=credentials.token is not None,
            certificate=credentials.client_cert is not None,
            tls=credentials.tls,
        )

    def _left_alone(self) -> Iterator[Finding]:
        sentence = f"{LOCAL_ONLY} is set in the environment: no socket is opened, and this device writes alone"
        if self._target is None:
            yield ok("target", sentence)
        else:
            yield warn("target", f"{sentence}; unset it to have {self._target} examined")


def _sent(remote: Remote) -> Iterator[Finding]:
    calls = f"{remote.calls} call{'s' * (remote.calls != 1)} of Describe"
    with_bytes = f" with {remote.padding >> 10} KiB of random bytes" if remote.padding else ""
    text = (
        f', and "{PROMPT}" and what the target goes on with, {remote.tokens} token ids in all' if remote.tokens else ""
    )
    texts = f", and {remote.texts} texts behind openings that are always the same" if remote.texts else ""
    yield ok(
        "sent",
        f"{calls}{with_bytes}{text}{texts}; no text of yours",
        calls=remote.calls,
        padding=remote.padding,
        tokens=remote.tokens,
        texts=remote.texts,
        prompt=PROMPT if remote.tokens else None,
    )
