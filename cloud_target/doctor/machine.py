"""The machine: versions, threads, arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from shared.findings import Finding, fail, ok, warn
from shared.machine import LINUX, SystemFiles, processor_flags, usable_cores
from shared.requirements import check_versions


def versions() -> Iterator[Finding]:
    """Every package that the service needs is here, in a version that it works with."""
    return check_versions("cloud", ("torch", "transformers", "grpcio"))


def threads(wanted: int | None, files: SystemFiles = LINUX) -> Iterator[Finding]:
    """Threads that compute against cores that this process may use."""
    import torch

    cores, count = usable_cores(files), wanted or torch.get_num_threads()
    if count > cores + 0.5:
        yield warn(
            "threads",
            f"{count} threads share {cores:g} cores, and wait for each other; use --threads {max(int(cores), 1)}",
        )
    else:
        yield ok("threads", f"{count} for {cores:g} cores")


def bfloat16(device: str, dtype: str | None, files: SystemFiles = LINUX) -> Iterator[Finding]:
    """Whether bf16 arithmetic runs where the target would be, and whether the configuration wants it."""
    import torch

    from cloud_target.engine.hf.cpu import guard_bfloat16

    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            yield ok("bf16", f"{torch.cuda.get_device_name()} computes in bf16")
        elif dtype in (None, "bfloat16"):
            yield fail("bf16", f"{torch.cuda.get_device_name()} has no bf16; use --dtype float16")
        return
    if guard_bfloat16():
        yield warn(
            "bf16",
            "the processor advertises AMX and the hypervisor forbids it, so bf16 runs without it; "
            "a newer hypervisor would be faster",
        )
    elif flags := _bf16_flags(files):
        yield ok("bf16", f"the processor computes in bf16 ({', '.join(flags)})")
    elif dtype == "bfloat16":
        yield warn("bf16", "the processor has no bf16 instructions, so bfloat16 is slow here; leave --dtype out")
    else:
        yield ok("bf16", "the processor has no bf16 instructions; float32 is used")


def _bf16_flags(files: SystemFiles) -> list[str]:
    return sorted(processor_flags(files) & {"amx_bf16", "avx512_bf16"})
