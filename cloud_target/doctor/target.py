"""The target: it loads here, there is room for it and its cache, and a forward pass gives numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from time import perf_counter

from cloud_target.engine.interface import Engine, Feed, all_scores
from cloud_target.engine.settings import EngineSettings
from shared.config import Sampling
from shared.findings import Finding, fail, ok, warn
from shared.machine import available_memory
from shared.sizes import show_size


def weights(settings: EngineSettings) -> Iterator[Finding]:
    """There is memory for the weights; asked before they are loaded."""
    from cloud_target.engine.files import find_directory, weight_files
    from cloud_target.engine.hf.model import DTYPES, choose_device

    device = choose_device(settings.device)
    size = sum(path.stat().st_size for path in weight_files(find_directory(settings.target)))
    free = _free(device.type)
    shown = "an unknown amount" if free is None else show_size(free)
    about = f"weights of {show_size(size)} on disk, {shown} of memory free on {device}"
    if free is not None and size > free:
        yield fail(
            "memory", f"{about}: they do not fit; use a smaller --target, or another --dtype ({', '.join(DTYPES)})"
        )
    else:
        yield ok("memory", about)


def forward(settings: EngineSettings) -> Iterator[Finding]:
    """The target loads, its cache fits, and one pass gives numbers."""
    from cloud_target.engine.load import load_engine

    begun = perf_counter()
    engine = load_engine(settings)
    loaded = perf_counter() - begun
    yield from _loaded(engine, loaded)
    who = engine.description
    feed = Feed(0, 0, tuple(i % who.vocabulary for i in range(1, 17)), 0, Sampling(0.0))
    all_scores(engine.forward([feed]))  # the first pass of a process has everything to set up
    begun = perf_counter()
    all_scores(engine.forward([feed]))
    yield ok("forward pass", f"16 tokens in {1e3 * (perf_counter() - begun):.1f} ms")


def vllm() -> Iterator[Finding]:
    """vLLM is installed, in a version that was tried, and would load the plug-in."""
    from cloud_target.engine.vllm.versions import check_version

    yield ok("engine", f"vLLM {check_version()}, with the plug-in that scores in it")


def in_vllm(settings: EngineSettings) -> Iterator[Finding]:
    """vLLM loads the target, and its answers are ours."""
    from cloud_target.engine.vllm.load import load_vllm

    begun = perf_counter()
    notes: list[str] = []
    with closing(load_vllm(settings, tell=notes.append)) as engine:
        yield from _loaded(engine, perf_counter() - begun)
        yield ok("forward pass", f"one token in {1e3 * engine.step:.1f} ms")
        for note in notes:
            yield warn("target", note)
        for one in engine.description.adapters:
            yield ok("adapter", f"{one.name} (fingerprint {one.fingerprint})")


def _loaded(engine: Engine, seconds: float) -> Iterator[Finding]:
    who = engine.description
    yield ok("target", f"{who.name} ({who.dtype} on {who.device}, fingerprint {who.fingerprint}) in {seconds:.1f} s")
    size = show_size(engine.capacity * engine.token_bytes)
    texts = engine.capacity // engine.context
    yield ok("cache", f"{size} hold {engine.capacity} tokens, {texts} texts of full length")


def _free(device: str) -> int | None:
    """Bytes free on "cpu" or "cuda"."""
    import torch

    return torch.cuda.mem_get_info()[0] if device == "cuda" else available_memory()
