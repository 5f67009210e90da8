"""A configuration file, and an environment without anything of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def configured(path: Path, text: str | bytes, **variables: str) -> Iterator[None]:
    """What the block reads: a file with this text, and these variables."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TANDEM_") and name != "TANDEM_STATE"]:
            patch.delenv(name)
        patch.setenv("TANDEM_CONFIG", str(path))
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Callable[..., object]:
    """`configured`, with a file of the test's own; also for tests of many examples."""
    path = tmp_path_factory.mktemp("config") / "tandem.toml"
    return lambda text, **variables: configured(path, text, **variables)
