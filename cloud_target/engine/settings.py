"""Which target is served, and how it runs."""

from __future__ import annotations

from dataclasses import dataclass

# The target that ships with Tandem.
POCKET = "pocket"
# What its forward pass may be computed in.
DTYPES = ("float32", "bfloat16", "float16")
# What runs it: transformers in a process of ours, or vLLM.
HF, VLLM = "hf", "vllm"


@dataclass(frozen=True)
class EngineSettings:
    """By default the embedded target, wherever it runs best.

    Attributes:
        target: "pocket", a directory, or a Hugging Face id.
        device: "auto", which takes CUDA if it is there, "cpu" or "cuda".
        dtype: of the forward pass: "float32", "bfloat16" or "float16"; None for float32 on a CPU, bfloat16 on CUDA.
        kv_memory: for the keys and values of all texts, bytes; None for half of what is free, on a CPU at most 1 GiB.
        context: longest text in tokens; None for the model's own, at most 4096.
        threads: of the CPU; None for one a core.
        engine: `HF` or `VLLM`.
        vllm_options: vLLM's own, as on its command line.
        adapters: of the target, name and directory of each; with `VLLM` only.
    """

    target: str = POCKET
    device: str = "auto"
    dtype: str | None = None
    kv_memory: int | None = None
    context: int | None = None
    threads: int | None = None
    engine: str = HF
    vllm_options: tuple[str, ...] = ()
    adapters: tuple[tuple[str, str], ...] = ()
