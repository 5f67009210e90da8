"""The engine of a service, which runs in another process whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cloud_target.engine.apart.engine import load_apart
from cloud_target.engine.interface import Engine
from cloud_target.engine.settings import VLLM, EngineSettings


class Elsewhere(Engine, Protocol):
    """An engine of another process."""

    @property
    def is_there(self) -> bool:
        """Whether that has not ended. May be asked in any thread."""
        ...

    def show_where(self) -> None:
        """Have it write to standard error where its threads are, if it can. From any thread."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def load_elsewhere(
    settings: EngineSettings, shares: bool = True, tell: Callable[[str], None] = lambda _: None
) -> Elsewhere:
    """The target, in a process that ends with this one.

    Args:
        shares: whether texts of a tenant that begin alike share what was read, where the engine sees to that itself.
        tell: is told, in a sentence, what is otherwise than usual about it.

    Raises:
        InputError: the target cannot be loaded or served.
        TandemError: the other process ended while it loaded.
    """
    if settings.engine == VLLM:
        from cloud_target.engine.vllm.load import load_vllm

        return load_vllm(settings, shares, tell)
    return load_apart(settings, tell)
