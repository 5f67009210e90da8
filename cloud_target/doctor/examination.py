"""Which checks there are to make."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

# The library prints its own account of broken connections on the terminal; ours is a finding.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cloud_target.doctor import files, machine, target
from cloud_target.doctor.findings import Check
from cloud_target.options import dial
from cloud_target.options.given import given
from cloud_target.server import cli as serve
from shared.errors import InputError


@contextmanager
def examination(options: argparse.Namespace) -> Iterator[list[Check]]:
    """The checks that the options ask for; cheap ones first, and what they need stays open until the block ends.

    Raises:
        InputError: options for a configuration and for a running target at once.
    """
    configuration = given(options, serve.add_options)
    if options.address is None:
        if reaching := given(options, dial.add_options):
            raise InputError(f"{reaching[0]} is for a running target; give its --address")
        yield [("versions", machine.versions), *_configuration(options)]
        return
    if configuration:
        raise InputError(f"{configuration[0]} is for a configuration; leave it out, or leave out --address")
    from cloud_target.doctor.remote import Remote

    remote = Remote(options)
    try:
        yield [("versions", machine.versions), *remote.checks()]
    finally:
        remote.close()


def _configuration(options: argparse.Namespace) -> Iterator[Check]:
    if options.tls_cert and options.tls_key:
        yield "certificate", lambda: files.certificates(options.tls_cert, options.tls_key, options.client_ca)
    if options.tokens:
        yield "tokens", lambda: files.tokens(options.tokens)
    yield "address", lambda: files.address(options)
    yield "threads", lambda: machine.threads(options.threads)
    yield "bf16", lambda: machine.bfloat16(_device(options), options.dtype)
    yield "memory", lambda: target.weights(options)
    yield "target", lambda: target.forward(options)


def _device(options: argparse.Namespace) -> str:
    from cloud_target.engine.hf.model import choose_device

    return choose_device(options.device).type
