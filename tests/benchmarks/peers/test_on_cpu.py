"""A process in which what asks for CUDA and for 16 bits gets neither."""

from __future__ import annotations

import pytest

from benchmarks.report.worker import Worker


def try_it(pipe):
    """Asks for CUDA in every way that the library does."""
    from benchmarks.peers.on_cpu import run_on_cpu

    run_on_cpu()
    import torch

    torch.cuda.synchronize()
    ones = torch.ones(2)
    moved = [
        ones.to("cuda"),
        ones.to(device="cuda:0"),
        ones.cuda(),
        ones.to("cuda", torch.float16),
        ones.to(torch.int8),
    ]
    pipe.send([(tensor.device.type, str(tensor.dtype), tensor.tolist()) for tensor in moved])


@pytest.mark.slow
def test_everything_stays_on_the_cpu_in_32_bits() -> None:
    with Worker(try_it) as worker:
        *floats, integers = worker.ready
        assert floats == [("cpu", "torch.float32", [1.0, 1.0])] * 4
        assert integers == ("cpu", "torch.int8", [1, 1])
