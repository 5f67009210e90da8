"""The command line in a terminal, and a target behind a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.edge_client.scripted_device import fake_cloud
from tests.grpc_service import Servicer, serving

if TYPE_CHECKING:
    from tests.edge_client.cli.shown import Shown


@pytest.fixture
def show() -> Iterator[Callable[..., Shown]]:
    """Starts the command line in a terminal; what still runs after the test is killed."""
    from tests.edge_client.cli.shown import Shown  # which skips where there are no terminals

    all_of_them: list[Shown] = []

    def begin(*arguments: str, **how: object) -> Shown:
        all_of_them.append(Shown(*arguments, **how))
        return all_of_them[-1]

    yield begin
    for shown in all_of_them:
        shown.close()


@pytest.fixture
def served() -> Iterator[tuple[str, Servicer]]:
    servicer = Servicer(fake_cloud())
    with serving(servicer) as port:
        yield f"127.0.0.1:{port}", servicer
