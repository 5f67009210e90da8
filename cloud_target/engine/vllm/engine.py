"""A target in vLLM, as an engine that batches by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloud_target.engine.apart.messages import Features
from cloud_target.engine.interface import Feed, Scores, Vitals, check_feeds
from cloud_target.engine.scoring.feeds import of_feeds
from cloud_target.engine.vllm.open_requests import OpenRequests
from cloud_target.engine.vllm.travelling import NAME, packed, row_scores
from shared.errors import TargetError

log = logging.getLogger(__name__)
Done = Callable[[Scores | Exception], None]
# How vLLM ends its answer where the request waits for more text; otherwise it is gone.
_STAYS_OPEN = ("stop", "length")
_GONE = "the process that vLLM runs in is gone"


class VllmEngine(Features):
    """A `FlowingEngine`. Its texts are lists of ids; keys and values are in vLLM's prefix cache, a tenant's apart.

    Args:
        features: see `Engine`.
        client: of vLLM's `EngineCoreClient`, to another process.
        most_at_once: requests that it computes side by side.
        shares: whether texts of a tenant that begin alike share what was read.
        goes_back: see `OpenRequests`.
        adapters: what vLLM knows those of the target by, by name.

    Attributes:
        cached: tokens so far that vLLM found in its cache.
    """

    def __init__(
        self,
        features: Features,
        client: Any,
        most_at_once: int,
        shares: bool = True,
        goes_back: bool = False,
        adapters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(**vars(features))
        self.most_at_once = most_at_once
        self._client, self._shares, self._adapters = client, shares, {"": None, **(adapters or {})}
        self._texts: dict[int, list[int]] = {}
        self._asked: dict[str, tuple[Feed, Done]] = {}
        self._open = OpenRequests(most_at_once, features.capacity, features.block, goes_back)
        self.cached = 0
        self._is_gone = self._is_closed = False
        self._lock, self._sending = threading.Lock(), threading.Lock()
        threading.Thread(target=self._listen, name="vllm", daemon=True).start()

    def start(self, feed: Feed, tenant: str, done: Done) -> None:
        """See `FlowingEngine`."""
        from vllm.sampling_params import SamplingParams
        from vllm.v1.engine import EngineCoreRequest

        check_feeds(self, [feed])
        text = self._texts.get(feed.slot, [])
        if len(text) < feed.start:
            raise ValueError(f"slot {feed.slot} holds {len(text)} tokens, and {feed.start} come before the feed's")
        self._texts[feed.slot] = ids = [*text[: feed.start], *feed.tokens]
        salt = f"tenant {tenant}" if self._shares else f"slot {feed.slot}"
        with self._lock:
            if self._is_gone:
                raise RuntimeError(_GONE)
            name, goes_on = self._open.take(feed.slot, feed.start, feed.end, f"{salt}, adapter {feed.adapter}")
            self._asked[name] = feed, done
        # One token is written in any case, and thrown away: vLLM has no requests without.
        parameters = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            skip_reading_prefix_cache=False,
            detokenize=False,
            extra_args={NAME: packed(feed, self.description.vocabulary)},
        )
        ids = [*feed.tokens] if goes_on else ids
        # Its cache tells adapters apart by itself.
        adapter = self._adapters[feed.adapter]
        request = EngineCoreRequest(name, ids, None, parameters, None, time.time(), adapter, salt, None, resumable=True)
        self._let_go()
        self._send(lambda: self._client.add_request(request))  # where that fails, all hear of it, this one too

    def trim(self, slot: int, tokens: int = 0) -> None:
        """See `Engine`."""
        if tokens:
            del self._texts.get(slot, [])[tokens:]
        else:
            self._texts.pop(slot, None)
            self._leave(slot)

    def copy(self, source: int, target: int, count: int) -> None:
        """See `Engine`."""
        text = self._texts.get(source, [])
        if len(text) < count:
            raise ValueError(f"slot {source} holds {len(text)} tokens, not {count}")
        self._texts[target] = text[:count]
        self._leave(target)

    def forward(self, feeds: Sequence[Feed]) -> Sequence[Scores | TargetError]:
        """A `FlowingEngine` makes no passes."""
        raise NotImplementedError("feeds are begun with `start`")

    def vitals(self) -> Vitals:
        """See `Engine`."""
        return Vitals()

    def check_integrity(self) -> None:
        """See `Engine`."""
        if any(len(text) > self.context for text in self._texts.values()):
            raise AssertionError("a text is longer than the context")

    @property
    def is_there(self) -> bool:
        """Whether vLLM's processes have not ended. May be asked in any thread; whoever waits then hears of it, too, for
        the client tells nobody by itself."""
        if not self._is_gone and self._client.resources.engine_dead:
            self._end()
        return not self._is_gone

    def show_where(self) -> None:
        """vLLM's processes have nobody who could be asked where they are."""

    def close(self) -> None:
        """End vLLM's processes."""
        self._is_closed = True
        end(self._client)

    def _leave(self, slot: int) -> None:
        """Have vLLM keep nothing of a slot but whole pages, as long as it likes."""
        with self._lock:
            self._open.leave(slot)
        self._let_go()

    def _let_go(self) -> None:
        """Tell vLLM of requests that nobody goes on with."""
        with self._lock:
            ended = self._open.ended()
        if ended and not self._is_gone:
            self._send(lambda: self._client.abort_requests(ended))

    def _send(self, what: Callable[[], None]) -> None:
        """vLLM's client is not for several threads at once."""
        try:
            with self._sending:
                what()
        except Exception:
            self._end()

    def _listen(self) -> None:
        """Give out what vLLM answers, until it is gone."""
        try:
            while True:
                for output in self._client.get_output().outputs:
                    with self._lock:
                        asked = self._asked.pop(output.request_id, None)
                        self._open.rest(output.request_id, str(output.finish_reason) in _STAYS_OPEN)
                    # Others may wait for the room of one that was left meanwhile.
                    self._let_go()
                    if asked is not None:
                        feed, done = asked
                        if output.prefill_stats is not None:
                            self.cached += output.prefill_stats.num_cached_tokens
                        done(_scores(feed, output))
        except Exception as error:
            if not self._is_closed:
                log.error("vLLM failed with %s", type(error).__name__)
            self._end()

    def _end(self) -> None:
        """Whoever waits, waits in vain."""
        with self._lock:
            self._is_gone = True
            waiting, self._asked = list(self._asked.values()), {}
        for _, done in waiting:
            done(RuntimeError(_GONE))


def end(client: Any) -> None:
    """End what vLLM has begun, its sockets too."""
    client.shutdown()
    client.ctx.destroy(linger=0)


def _scores(feed: Feed, output: Any) -> Scores | Exception:
    """What vLLM has answered about a feed."""
    given = output.new_prompt_logprobs_tensors
    if given is None:
        return TargetError("vLLM ended a request without having read its text; its log says why")
    ids, nll = given.logprob_token_ids.numpy(), given.logprobs.numpy()
    rows = (
        row_scores(ids, nll, feed.spare) if ids.shape == (len(feed.tokens) - feed.score_from + feed.spare, 2) else None
    )
    if rows is None:
        return RuntimeError("vLLM answered otherwise than its plug-in does")
    if not _are_numbers(rows.own_nll):
        return TargetError("the target's arithmetic gave values that are not numbers; use another --dtype")
    return of_feeds([feed], rows)[0]


def _are_numbers(values: Any) -> bool:
    return bool((abs(values) < float("inf")).all())
