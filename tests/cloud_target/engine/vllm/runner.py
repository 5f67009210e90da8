"""vLLM's two model runners as far as the plug-in knows them: texts are read in parts, and their logits are given."""

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
from cloud_target.engine.vllm.runners import wrap_the_first, wrap_the_second
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


class Texts:
    """Texts whose logits are a script's, with more logits than there are tokens, which a runner reads in parts.

    Args:
        script: the logits.
        vocabulary: ids are below it.
        more: logits beyond.

    Attributes:
        read: how many tokens of each text have been read.
        passed_on: those that vLLM's own function was asked about, call by call.
    """

    def __init__(self, script: Script, vocabulary: int, more: int = 3) -> None:
        self._script, self._vocabulary, self._more = script, vocabulary, more
        self.texts: dict[str, list[int]] = {}
        self.read: dict[str, int] = {}
        self.passed_on: list[list[str]] = []

    def parameters(self, feed: Feed | None) -> SimpleNamespace:
        """What vLLM's `SamplingParams` are to a runner; None for a request that is not ours."""
        extra = None if feed is None else {NAME: packed(feed, self._vocabulary)}
        return SimpleNamespace(extra_args=extra, prompt_logprobs=1 if feed is None else None)

    def states(self, scheduled: dict[str, int]) -> tuple[torch.Tensor, list[int]]:
        """Of the next tokens of some texts, in the place of hidden states, their logits; and where each text begins."""
        starts, rows = [], []
        for name, count in scheduled.items():
            starts.append(len(rows))
            for end in range(self.read[name], self.read[name] + count):
                logits = self._script(self.texts[name][: end + 1])
                rows.append(np.append(logits, np.full(self._more, 99.0, np.float32)))
        return torch.from_numpy(np.array(rows, np.float32)), starts


class FirstRunner(Texts):
    """As vLLM's `GPUModelRunner` calls for log-probabilities of prompts."""

    def __init__(self, script: Script, vocabulary: int) -> None:
        super().__init__(script, vocabulary)
        texts = self

        class Wrapped:
            def _get_prompt_logprobs_dict(self, _: torch.Tensor, scheduled: dict[str, int]) -> dict:
                if self.num_prompt_logprobs:
                    texts.passed_on.append(list(self.num_prompt_logprobs))
                found = {name: "theirs" for name in self.num_prompt_logprobs if name in scheduled}
                for name in found:
                    del self.num_prompt_logprobs[name]
                return found

        wrap_the_first(Wrapped)
        self._runner = Wrapped()
        self._runner.requests, self._runner.num_prompt_logprobs = {}, {}
        self._runner.model = SimpleNamespace(compute_logits=lambda states: states)

    def ask(self, name: str, text: Sequence[int], feed: Feed | None, cached: int = 0) -> None:
        """Let a request begin, of which so many tokens are read already; None for one that is not ours."""
        self.texts[name], self.read[name] = [*text], cached
        self._runner.requests[name] = SimpleNamespace(
            sampling_params=self.parameters(feed),
        )
        if feed is None:
            self._runner.num_prompt_logprobs[name] = 1

    def give_way(self, name: str) -> None:
        """Let vLLM take a text's room."""
        self.read[name] = 0

    def step(self, scheduled: dict[str, int]) -> dict:
        """One pass over the next tokens of some requests; what it gives for those that are read to their end."""
        states, starts = self.states(scheduled)
        for name in self.texts:
            self._runner.requests[name].num_computed_tokens = self.read[name]
        self._runner.query_start_loc = SimpleNamespace(np=np.array(starts))
        self._runner.input_batch = SimpleNamespace(req_id_to_index={name: i for i, name in enumerate(scheduled)})
        found = self._runner._get_prompt_logprobs_dict(states, scheduled)
        for name, count in scheduled.items():
            self.read[name] += count
        return found


class SecondRunner(Texts):
    """As the runner in `vllm.v1.worker.gpu` does it, whose requests have places among those that it keeps."""

    def __init__(self, script: Script, vocabulary: int) -> None:
        super().__init__(script, vocabulary)
        texts = self

        class Wrapped:
            def __init__(self, places: int) -> None:
                self.uses_prompt_logprobs = np.ones(places, bool)

            def add_request(self, name: str, place: int, parameters: SimpleNamespace) -> None:
                self.uses_prompt_logprobs[place] = parameters.prompt_logprobs is not None

            def remove_request(self, name: str) -> None:
                pass

            def compute_prompt_logprobs(
                self, _: object, __: torch.Tensor, batch: SimpleNamespace, *more: object
            ) -> dict:
                uses = self.uses_prompt_logprobs[batch.idx_mapping_np]
                theirs = [name for name, it_does in zip(batch.req_ids, uses, strict=True) if it_does]
                if theirs:
                    texts.passed_on.append(theirs)
                return dict.fromkeys(theirs, "theirs")

        wrap_the_second(Wrapped)
        self._worker = Wrapped(8)
        self._places: dict[str, int] = {}
        self._asked: dict[str, Feed | None] = {}

    def ask(self, name: str, text: Sequence[int], feed: Feed | None, cached: int = 0) -> None:
        """As above."""
        self.texts[name], self.read[name], self._asked[name] = [*text], cached, feed
        self._places[name] = 7 - len(self._places)
        self._worker.add_request(name, self._places[name], self.parameters(feed))

    def give_way(self, name: str) -> None:
        """As above: such a request is removed, and comes again as a new one."""
        self._worker.remove_request(name)
        self.ask(name, self.texts[name], self._asked[name])

    def step(self, scheduled: dict[str, int]) -> dict:
        """As above."""
        states, starts = self.states(scheduled)
        batch = SimpleNamespace(
            req_ids=list(scheduled),
            idx_mapping_np=np.array([self._places[name] for name in scheduled]),
            num_computed_prefill_tokens_np=np.array([self.read[name] for name in scheduled]),
            num_scheduled_tokens=np.array(list(scheduled.values())),
            query_start_loc_np=np.array([*starts, len(states)]),
        )
        found = self._worker.compute_prompt_logprobs(lambda states: states, states, batch, None, None, None)
        for name, count in scheduled.items():
            self.read[name] += count
            if name in found:
                self._worker.remove_request(name)
        return found


def scores(feed: Feed, tensors: LogprobsTensors) -> Scores:
    """What came back about a feed."""
    rows = row_scores(tensors.logprob_token_ids.numpy(), tensors.logprobs.numpy(), feed.spare)
    assert rows is not None
    return of_feeds([feed], rows)[0]
