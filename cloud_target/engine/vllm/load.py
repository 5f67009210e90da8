"""From settings to a target in vLLM that is ready: its processes are begun, and tried with a text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cloud_target.engine.adapters import LocalAdapter, find_adapters
from cloud_target.engine.apart.messages import Features
from cloud_target.engine.files import POCKET, find_directory, target_fingerprint, vocabulary_size, weight_files
from cloud_target.engine.interface import Description
from cloud_target.engine.settings import EngineSettings
from cloud_target.engine.tokens import read_tokens
from cloud_target.engine.vllm import lora
from cloud_target.engine.vllm.asking import probe
from cloud_target.engine.vllm.ending import name_the_service
from cloud_target.engine.vllm.engine import VllmEngine, end
from cloud_target.engine.vllm.versions import check_version, set_up, share_threads
from shared.errors import InputError, first_line
from shared.identity import tokenizer_fingerprint

# Tokens of the longest text where nobody asks for more, as with other engines.
USUAL = 4096
# Tokens that are read of a long text at once: then it is told how far it is.
CHUNK = 512
# A page of the cache, tokens. What a text ends with beyond whole pages is read again with each request.
_BLOCK = {"cpu": 32, "cuda": 16}


def load_vllm(
    settings: EngineSettings,
    shares: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> VllmEngine:
    """Begin vLLM with a target.

    Args:
        shares: whether texts of a tenant that begin alike share what was read.
        tell: is told, in a sentence, what is otherwise than usual about it.

    Raises:
        InputError: it is not installed, cannot serve the target, or answers otherwise than it should.
    """
    found = check_version()
    set_up(settings.threads)
    name_the_service()
    directory = find_directory(settings.target)
    is_here = Path(settings.target).expanduser().is_dir() or settings.target == POCKET
    source = str(directory) if is_here else settings.target
    name = "pocket-target" if settings.target == POCKET else Path(source).name if is_here else source
    fingerprint = target_fingerprint(directory)
    adapters = find_adapters(settings.adapters, directory, fingerprint, name)
    tokenizer = read_tokens(source).tokenizer
    try:
        client, config = _begin(source, settings, adapters)
    except InputError:
        raise
    except Exception as error:  # vLLM's own have no common base, and most are told in its log only
        raise InputError(
            f"vLLM {found} cannot serve {settings.target} ({first_line(error)}); its lines above say why"
        ) from error
    try:
        features = Features(
            Description(
                name,
                fingerprint,
                tokenizer_fingerprint(tokenizer),
                vocabulary_size(tokenizer),
                str(config.model_config.dtype).removeprefix("torch."),
                config.device_config.device_type,
                _parameters(directory),
                adapters=tuple(one.adapter for one in adapters),
            ),
            config.model_config.max_model_len - 1,
            # vLLM keeps one page for itself.
            (config.cache_config.num_gpu_blocks - 1) * config.cache_config.block_size,
            config.cache_config.block_size,
            _token_bytes(config),
            CHUNK,
            step=0.0,
            branches=False,
            tokenizer=tokenizer,
        )
        requests, most = lora.load(client, adapters), config.scheduler_config.max_num_seqs
        engine = VllmEngine(features, client, most, shares, _keeps_all(config.model_config), requests)
        engine.step = probe(engine)
        lora.check(engine, tell)
        if settings.context and engine.context < settings.context:
            tell(f"texts of {engine.context} tokens at most: vLLM needs one more than that")
        return engine
    except BaseException:
        end(client)
        raise


def _begin(source: str, settings: EngineSettings, adapters: list[LocalAdapter]) -> tuple[Any, Any]:
    """vLLM's processes with the target, and how they are configured."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.platforms import current_platform
    from vllm.utils.argparse_utils import FlexibleArgumentParser
    from vllm.v1.engine.core_client import EngineCoreClient
    from vllm.v1.executor import Executor

    kind = "cpu" if current_platform.is_cpu() else "cuda"
    if settings.device not in ("auto", kind):
        raise InputError(f"the vLLM that is installed here runs on {kind}; leave --device out, or use --engine hf")
    given: dict[str, Any] = {
        "model": source,
        "dtype": settings.dtype or ("float32" if kind == "cpu" else "bfloat16"),
        # One more than a text may have: vLLM writes a token behind whatever it reads.
        "max_model_len": min((settings.context or USUAL) + 1, _longest(source)),
        "kv_cache_memory_bytes": settings.kv_memory or (1 << 30 if kind == "cpu" else None),
        "block_size": _BLOCK[kind],
        "enable_prefix_caching": True,
        "enforce_eager": kind == "cpu",
        "generation_config": "vllm",
        "disable_log_stats": True,
        **lora.options(adapters, is_cpu=kind == "cpu"),
    }
    parser = EngineArgs.add_cli_args(
        FlexibleArgumentParser(prog="cloud-target serve --engine vllm --", exit_on_error=False)
    )
    parser.set_defaults(**{name: value for name, value in given.items() if value is not None})
    try:
        arguments = EngineArgs.from_cli_args(parser.parse_args(list(settings.vllm_options)))
    except (argparse.ArgumentError, SystemExit) as error:
        words = " ".join(settings.vllm_options)
        raise InputError(
            f"vLLM does not take what stands behind -- ({words}); `vllm serve --help=all` lists what it takes"
        ) from error
    ranks = arguments.tensor_parallel_size * arguments.pipeline_parallel_size
    share_threads(settings.threads, ranks)
    if (memory := given["kv_cache_memory_bytes"]) and arguments.kv_cache_memory_bytes == memory:
        arguments.kv_cache_memory_bytes = memory // ranks  # which is each worker's
    config = arguments.create_engine_config()
    return EngineCoreClient.make_client(True, False, config, Executor.get_class(config), False), config


def _longest(source: str) -> int:
    """How many tokens the model was made for; a great many where its configuration does not say."""
    from transformers import AutoConfig

    length = getattr(AutoConfig.from_pretrained(source).get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) else sys.maxsize


def _keeps_all(model: Any) -> bool:
    """Whether every layer has the keys and values of all tokens, so that a text may lose its end and go on. Where one
    has those of a window only, or a state, what it needs then may be gone."""
    kinds = getattr(model.hf_text_config, "layer_types", None) or []
    return not (
        model.is_hybrid
        or model.is_attention_free
        or model.get_sliding_window() is not None
        or getattr(model.hf_text_config, "attention_chunk_size", None) is not None
        or set(kinds) - {"full_attention"}
    )


def _token_bytes(config: Any) -> int:
    """What keys and values of a token take."""
    model, parallel = config.model_config, config.parallel_config
    heads = model.get_total_num_kv_heads() * model.get_head_size()
    return 2 * model.get_num_layers(parallel) * parallel.pipeline_parallel_size * heads * model.dtype.itemsize


def _parameters(directory: Path) -> int:
    """How many the files of a model hold; 0 where they are no safetensors."""
    from safetensors import safe_open

    count = 0
    for file in weight_files(directory):
        if file.suffix != ".safetensors":
            return 0
        with safe_open(file, "np") as tensors:
            count += sum(int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys())  # noqa: SIM118
    return count
