"""vLLM's model runner as far as the plug-in knows it: texts are read in parts, and their logits are given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scoring.feeds import of_feeds
from cloud_target.engine.scripted import Script
from cloud_target.engine.vllm.plugin import scoring
from cloud_target.engine.vllm.travelling import NAME, packed, row_scores


class LogprobsTensors(NamedTuple):
    """vLLM's, as far as it is needed."""

    logprob_token_ids: torch.Tensor
    logprobs: torch.Tensor
    selected_token_ranks: torch.Tensor


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one module of vLLM that scoring imports."""
    module = ModuleType("vllm.v1.outputs")
    module.LogprobsTensors = LogprobsTensors
    monkeypatch.setitem(sys.modules, "vllm.v1.outputs", module)


class Runner:
    """Reads texts whose logits are a script's, and has more logits than there are tokens.

    Args:
        script: the logits.
        vocabulary: ids are below it.
        more: logits beyond.
    """

    def __init__(self, script: Script, vocabulary: int, more: int = 3) -> None:
        self._script, self._vocabulary, self._more = script, vocabulary, more
        self.requests: dict[str, SimpleNamespace] = {}
        self.num_prompt_logprobs: dict[str, int] = {}
        self.model = SimpleNamespace(compute_logits=lambda states: states)
        self.passed_on: list[list[str]] = []
        self._read = scoring(self._theirs)

    def _theirs(self, _: object, states: torch.Tensor, scheduled: dict[str, int]) -> dict:
        self.passed_on.append(list(self.num_prompt_logprobs))
        found = {name: "theirs" for name in self.num_prompt_logprobs if name in scheduled}
        for name in found:
            del self.num_prompt_logprobs[name]
        return found

    def ask(self, name: str, text: Sequence[int], feed: Feed | None, cached: int = 0) -> None:
        """Let a request begin, of which so many tokens are read already; None for one that is not ours."""
        extra = None if feed is None else {NAME: packed(feed, self._vocabulary)}
        self.requests[name] = SimpleNamespace(
            sampling_params=SimpleNamespace(extra_args=extra),
            prompt_token_ids=[*text],
            num_computed_tokens=cached,
            in_progress_prompt_logprobs_cpu=None,
        )
        self.num_prompt_logprobs[name] = 1

    def step(self, scheduled: dict[str, int]) -> dict:
        """One pass over the next tokens of some requests; what it gives for those that are read to their end."""
        starts, rows = [], []
        for name, count in scheduled.items():
            request = self.requests[name]
            starts.append(len(rows))
            for end in range(request.num_computed_tokens, request.num_computed_tokens + count):
                logits = self._script(request.prompt_token_ids[: end + 1])
                rows.append(np.append(logits, np.full(self._more, 99.0, np.float32)))
        self.query_start_loc = SimpleNamespace(np=np.array(starts))
        self.input_batch = SimpleNamespace(req_id_to_index={name: i for i, name in enumerate(scheduled)})
        found = self._read(self, torch.from_numpy(np.array(rows, np.float32)), scheduled)
        for name, count in scheduled.items():
            self.requests[name].num_computed_tokens += count
        return found


def scores(feed: Feed, tensors: LogprobsTensors) -> Scores:
    """What came back about a feed."""
    rows = row_scores(tensors.logprob_token_ids.numpy(), tensors.logprobs.numpy(), feed.spare)
    assert rows is not None
    return of_feeds([feed], rows)[0]
