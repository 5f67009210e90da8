"""What vLLM loads of ours in each of its processes: noise and scores, where the logits are.

Three of vLLM's functions are wrapped; requests that are not ours are served as if nothing were here:

    the worker's, that gives the log-probabilities of a prompt: instead of them it scores the rows of all such requests
    of a pass at once, so that only small arrays leave the device
    the scheduler's, that looks a prompt up in the prefix cache: what stands in the cache has no logits, so it finds the
    text up to the first scored row only

Both are private, so versions are pinned (`cloud_target/engine/vllm/versions.py`) and tried when a target is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cloud_target.engine.interface import Feed
from cloud_target.engine.scoring.feeds import rows_of
from cloud_target.engine.scoring.masking import forbid
from cloud_target.engine.scoring.score import Row, score
from cloud_target.engine.vllm.ending import end_with_the_service
from cloud_target.engine.vllm.travelling import NAME, Answers, first_row, unpacked, vocabulary_of


def register() -> None:
    """Wrap them; several times is as once. An entry point in the group `vllm.general_plugins`."""
    end_with_the_service()
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
    from vllm.v1.core.kv_cache_manager import KVCacheManager
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    if not getattr(GPUModelRunner, NAME, False):
        setattr(GPUModelRunner, NAME, True)
        GPUModelRunner._get_prompt_logprobs_dict = scoring(GPUModelRunner._get_prompt_logprobs_dict)
        KVCacheManager.get_computed_blocks = looking_up(KVCacheManager.get_computed_blocks)
        LRUCacheWorkerLoRAManager.add_adapter = complete(LRUCacheWorkerLoRAManager.add_adapter)


def ours(request: Any) -> dict[str, Any] | None:
    """What travels with a request of ours; None for others."""
    parameters = getattr(request, "sampling_params", None)
    return (parameters.extra_args or {}).get(NAME) if parameters is not None else None


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
        there = ours(request)
        # It never finds a whole text: the last token is read in any case.
        return before(self, request if there is None else _UpTo(request, first_row(there) + 1))

    return get_computed_blocks


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


class _Part:
    """What a pass has read of one request.

    Args:
        feed: its scored end, which `unpacked` gives.
        begin, end: positions of what was read.
        place: of the first of these among all that the pass has read.

    Attributes:
        rows: which rows of the feed are scored now.
        states: where they are among all that the pass has read.
        guesses: which guesses follow one of them.
    """

    def __init__(self, feed: Feed, begin: int, end: int, place: int) -> None:
        self.feed = feed
        first = max(begin, feed.start)
        self.rows = slice(first - feed.start, max(end, first) - feed.start)
        self.states = range(place + first - begin, place + max(end, first) - begin)
        follows = feed.follows()[feed.needed :]
        self.guesses = [i for i, parent in enumerate(follows) if self.rows.start <= parent < self.rows.stop]


def scoring(before: Callable) -> Callable:
    """The log-probabilities of prompts, in the place of which requests of ours get their scores."""

    def _get_prompt_logprobs_dict(self: Any, hidden_states: torch.Tensor, scheduled: dict[str, int]) -> dict:
        wanted = self.num_prompt_logprobs
        own = {name: there for name in wanted if (there := ours(self.requests[name])) is not None}
        if not own:
            return before(self, hidden_states, scheduled)
        self.num_prompt_logprobs = {name: count for name, count in wanted.items() if name not in own}
        found = before(self, hidden_states, scheduled) if self.num_prompt_logprobs else {}
        found |= _score(self, hidden_states, scheduled, own)
        # Whoever has got all, wants no more.
        self.num_prompt_logprobs |= {name: wanted[name] for name in own if name not in found}
        return found

    return _get_prompt_logprobs_dict


def _score(runner: Any, hidden_states: torch.Tensor, scheduled: dict[str, int], own: dict[str, dict]) -> dict:
    """Score what a pass has read of requests of ours; returns the answers of those which it has read to their end."""
    from vllm.v1.outputs import LogprobsTensors

    parts, finished = [], {}
    for name, there in own.items():
        if (count := scheduled.get(name)) is None:  # it gave way to others, and will be read anew
            continue
        request = runner.requests[name]
        begin, ids = request.num_computed_tokens, request.prompt_token_ids
        place = int(runner.query_start_loc.np[runner.input_batch.req_id_to_index[name]])
        part = _Part(unpacked(there, ids), begin, begin + count, place)
        answers = request.in_progress_prompt_logprobs_cpu or Answers(len(part.feed.tokens), part.feed.spare)
        request.in_progress_prompt_logprobs_cpu = answers
        if part.states:
            parts.append((part, answers, vocabulary_of(there)))
        if begin + count >= len(ids):
            request.in_progress_prompt_logprobs_cpu = None
            finished[name] = LogprobsTensors(
                torch.from_numpy(answers.ids), torch.from_numpy(answers.nll), torch.zeros(len(answers.ids))
            )
    if parts:
        _score_parts(runner.model, hidden_states, parts)
    return finished


def _score_parts(model: Any, hidden_states: torch.Tensor, parts: list[tuple[_Part, Answers, int]]) -> None:
    """Score the rows of several requests in one call, and put the scores where they belong."""
    states = [state for part, _, _ in parts for state in part.states]
    logits = model.compute_logits(hidden_states[torch.tensor(states, device=hidden_states.device)])
    if logits is None:  # another of several workers has them
        return
    # One model has one vocabulary; what it has logits for beyond that are no tokens.
    logits = logits[:, : parts[0][2]].float()
    rows: list[Row] = []
    beside: list[tuple[int, int]] = []
    at = []
    for part, _, _ in parts:
        feed, first = part.feed, len(rows)
        if feed.masks is not None:
            logits = forbid(logits, first, feed.masks.rows(feed)[part.rows])
        at.append((first, len(beside)))
        rows += [*rows_of(feed)][part.rows]
        beside += [(first + feed.needed - 1 + i - part.rows.start, feed.tokens[feed.needed + i]) for i in part.guesses]
    found = score(logits, rows, beside)
    for (part, answers, _), (first, guess) in zip(parts, at, strict=True):
        answers.add(
            found,
            slice(first, first + len(part.states)),
            slice(guess, guess + len(part.guesses)),
            part.rows.start,
            len(part.feed.tokens) + (part.guesses[0] if part.guesses else 0),
        )
