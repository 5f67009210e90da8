"""What vLLM loads of ours in each of its processes: noise and scores, where the logits are.

Functions of vLLM's are wrapped, and requests that are not ours are served as if nothing were here:

    the workers', that give the log-probabilities of a prompt (`runners.py`): instead of them the rows of all such
    requests of a pass are scored at once, so that only small arrays leave the device
    the scheduler's, that looks a prompt up in the prefix cache: what stands in the cache has no logits, so it finds the
    text up to the first scored row only
    the scheduler's, that lets an open request go on: it may do so before its end, where a token did not stand
    the workers', that load an adapter: one that would be applied in part is refused

All are private, so versions are pinned (`cloud_target/engine/vllm/versions.py`) and tried when a target is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloud_target.engine.vllm.ending import end_with_the_service
from cloud_target.engine.vllm.runners import wrap_the_first, wrap_the_second
from cloud_target.engine.vllm.travelling import NAME, begin_of, first_row, ours


def register() -> None:
    """Wrap them; several times is as once. An entry point in the group `vllm.general_plugins`."""
    end_with_the_service()
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
    from vllm.v1.core.kv_cache_manager import KVCacheManager
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.worker.gpu.sample.prompt_logprob import PromptLogprobsWorker
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    if not getattr(GPUModelRunner, NAME, False):
        setattr(GPUModelRunner, NAME, True)
        KVCacheManager.get_computed_blocks = looking_up(KVCacheManager.get_computed_blocks)
        Scheduler._update_request_as_session = going_on(Scheduler._update_request_as_session)
        LRUCacheWorkerLoRAManager.add_adapter = complete(LRUCacheWorkerLoRAManager.add_adapter)
        wrap_the_first(GPUModelRunner)
        wrap_the_second(PromptLogprobsWorker)


class _UpTo:
    """A request as it would be if it ended earlier.

    Args:
        request: whose else it is.
        tokens: how many it then has.
    """

    def __init__(self, request: Any, tokens: int) -> None:
        self._request, self.num_tokens = request, tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


def looking_up(before: Callable) -> Callable:
    """The look-up in the prefix cache, which for requests of ours leaves the scored rows to be read."""

    def get_computed_blocks(self: Any, request: Any) -> Any:
        there = ours(request.sampling_params)
        # It never finds a whole text: the last token is read in any case.
        return before(self, request if there is None else _UpTo(request, first_row(there) + 1))

    return get_computed_blocks


def going_on(before: Callable) -> Callable:
    """The update of an open request, which for requests of ours may cut its end off (see `OpenRequests`)."""

    def _update_request_as_session(self: Any, session: Any, update: Any) -> None:
        there = ours(update.sampling_params)
        if there is not None:
            begin = begin_of(there)
            if begin > session.num_computed_tokens:
                raise ValueError(f"a text of {session.num_computed_tokens} tokens cannot go on at {begin}")
            # vLLM keeps what it has computed, and forgets the rest.
            session.num_computed_tokens = begin
            del session.prompt_token_ids[begin:]
        before(self, session, update)

    return _update_request_as_session


def complete(before: Callable) -> Callable:
    """The worker's loading of an adapter, which leaves out what it has no layer for, and then is silent about it."""

    def add_adapter(self: Any, request: Any) -> bool:
        is_new = request.lora_int_id not in self.list_adapters()
        found: bool = before(self, request)
        if is_new:
            from vllm.distributed import get_pp_group

            manager = self._adapter_manager
            left_out = sorted(set(manager.get_adapter(request.lora_int_id).loras) - set(manager.modules))
            if left_out and get_pp_group().world_size == 1:  # else other workers may have them
                raise ValueError(f"vLLM would leave out {left_out[0]}, and {len(left_out)} of its layers in all")
        return found

    return add_adapter
