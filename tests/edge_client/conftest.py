"""The command line of the device, with fakes behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.cli import main as cli
from edge_client.target.client import TargetClient
from edge_client.testing import LoopbackTransport
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_bundle, fake_cloud


@pytest.fixture
def transport(monkeypatch, tmp_path) -> LoopbackTransport:
    """The command line with a fake device that remembers nothing yet, and a fake target at every address."""
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    transport = LoopbackTransport(fake_cloud())
    monkeypatch.setattr(Bundle, "load", lambda *_: fake_bundle())
    monkeypatch.setattr(TargetClient, "connect", lambda *_: client_of(transport))
    return transport


@pytest.fixture
def edge(transport, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line, with the seed 0 unless another one is given; gives the exit status, and what it wrote to
    stdout and stderr."""
    monkeypatch.setenv("TANDEM_SEED", "0")

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        return status, *capsys.readouterr()

    return run
