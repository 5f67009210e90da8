"""Lets a library that is written for CUDA run on a CPU, in a process that does nothing else."""

from __future__ import annotations

from typing import Any

import torch
import transformers  # noqa: F401 - it lists the kinds of numbers when it is imported, and must see all of them


def run_on_cpu() -> None:
    """What asks for CUDA stays where it is, and what asks for 16 bits gets 32, which a CPU computes faster.

    It changes torch for the whole process, so it is called before the library is imported.
    """
    torch.set_num_threads(1)
    tensor: Any = torch.Tensor
    usual = tensor.to

    def to(self: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        here = [_on_cpu(argument) for argument in arguments]
        return usual(self, *here, **{name: _on_cpu(argument) for name, argument in named.items()})

    tensor.to, tensor.cuda = to, lambda self, *_, **__: self
    library: Any = torch
    library.cuda.synchronize = lambda *_: None
    library.float16 = library.half = torch.float32


def _on_cpu(argument: Any) -> Any:
    return "cpu" if isinstance(argument, str) and argument.startswith("cuda") else argument
