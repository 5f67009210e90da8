"""Which checks there are to make; cheap ones first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# The library prints its own account of broken connections on the terminal; ours is a finding.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cloud_target.doctor import files, machine, target
from cloud_target.engine.settings import VLLM, EngineSettings
from cloud_target.options.dial import DialSettings
from cloud_target.server.settings import ServeSettings
from shared.findings import Check


@contextmanager
def of_target(settings: DialSettings) -> Iterator[list[Check]]:
    """The checks of a target that runs; the connection to it stays open until the block ends.

    Raises:
        InputError: settings by which no target can be reached.
    """
    from cloud_target.doctor.remote import Remote

    remote = Remote(settings)
    try:
        yield [("versions", machine.versions), *remote.checks()]
    finally:
        remote.close()


@contextmanager
def of_configuration(settings: ServeSettings) -> Iterator[list[Check]]:
    """The checks of this machine, and of a server with these settings on it."""
    yield [("versions", machine.versions), *_configuration(settings)]


def _configuration(settings: ServeSettings) -> Iterator[Check]:
    access, engine = settings.access, settings.engine
    cert, key, tokens = access.tls_cert, access.tls_key, access.tokens
    if cert and key:
        yield "certificate", lambda: files.certificates(cert, key, access.client_ca)
    if tokens:
        yield "tokens", lambda: files.tokens(tokens)
    if bundle := settings.bundle.directory:
        yield "bundle", lambda: files.bundle(bundle, engine.target)
    yield "address", lambda: files.address(settings)
    yield "threads", lambda: machine.threads(engine.threads)
    if engine.engine == VLLM:
        yield "engine", target.vllm
        yield "target", lambda: target.in_vllm(engine)
        return
    yield "bf16", lambda: machine.bfloat16(_device(engine), engine.dtype)
    yield "memory", lambda: target.weights(engine)
    yield "target", lambda: target.forward(engine)


def _device(settings: EngineSettings) -> str:
    from cloud_target.engine.hf.model import choose_device

    return choose_device(settings.device).type
