"""vLLM's two model runners: where each gives the log-probabilities of prompts, and what it knows of a request there.

The first one is what CPUs have; on GPUs vLLM takes the second one, where that has all that was asked for.
"""

from __future__ import annotations

from typing import Any

import torch

from cloud_target.engine.vllm.parts import Asked, Part, answers
from cloud_target.engine.vllm.travelling import NAME, ours


def wrap_the_first(runner: Any) -> None:
    """Let requests of ours be scored.

    Args:
        runner: the class `vllm.v1.worker.gpu_model_runner.GPUModelRunner`.
    """
    before = runner._get_prompt_logprobs_dict

    def _get_prompt_logprobs_dict(self: Any, hidden_states: torch.Tensor, scheduled: dict[str, int]) -> dict:
        parts = {}
        for name, count in scheduled.items():
            request = self.requests[name]
            if (there := ours(request.sampling_params)) is None:
                continue
            asked = vars(request).get(NAME)
            if asked is None or asked.there is not there:
                asked = Asked(there)
                setattr(request, NAME, asked)
            begin = request.num_computed_tokens
            if begin < asked.feed.end:
                place = int(self.query_start_loc.np[self.input_batch.req_id_to_index[name]])
                parts[name] = Part(asked, begin, begin + count, place)
        return before(self, hidden_states, scheduled) | answers(self.model.compute_logits, hidden_states, parts)

    runner._get_prompt_logprobs_dict = _get_prompt_logprobs_dict


def wrap_the_second(worker: Any) -> None:
    """Likewise.

    Args:
        worker: the class `vllm.v1.worker.gpu.sample.prompt_logprob.PromptLogprobsWorker`.
    """
    make, add, remove = worker.__init__, worker.add_request, worker.remove_request
    compute = worker.compute_prompt_logprobs

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        self.asked = {}  # of each request of ours that it has

    def add_request(self: Any, req_id: str, req_idx: int, sampling_params: Any) -> None:
        add(self, req_id, req_idx, sampling_params)
        if (there := ours(sampling_params)) is not None:
            self.asked[req_id] = Asked(there)

    def remove_request(self: Any, req_id: str) -> None:
        self.asked.pop(req_id, None)
        remove(self, req_id)

    def compute_prompt_logprobs(
        self: Any, logits_fn: Any, hidden_states: torch.Tensor, input_batch: Any, *arguments: Any
    ) -> dict:
        parts = {}
        for i, name in enumerate(input_batch.req_ids):
            begin = int(input_batch.num_computed_prefill_tokens_np[i])
            asked = self.asked.get(name)
            if asked is not None and begin < asked.feed.end:
                end = begin + int(input_batch.num_scheduled_tokens[i])
                parts[name] = Part(asked, begin, end, int(input_batch.query_start_loc_np[i]))
        found = compute(self, logits_fn, hidden_states, input_batch, *arguments)
        return found | answers(logits_fn, hidden_states, parts)

    worker.__init__, worker.add_request, worker.remove_request = __init__, add_request, remove_request
    worker.compute_prompt_logprobs = compute_prompt_logprobs
