"""transformers' assisted generation beside the target, with the same draft; it streams over the link to a reader."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.peers.systems import Link, Pair, Prompt, Session, System, Written
from benchmarks.report.colocated import Reader, ear
from benchmarks.report.worker import Worker
from shared.tokenizer import load_tokenizer


class Assisted(Worker):
    """A process with both models, which answers readers.

    Attributes:
        address: host:port that readers connect to.
    """

    def __init__(self, pair: Pair, patience: float) -> None:
        super().__init__(_serve, pair, patience=patience)
        self.address: str = self.ready


class _Reading:
    """A device that reads what it streams."""

    def __init__(self, cloud: Assisted, reader: Reader, pair: Pair) -> None:
        self._cloud, self._reader = cloud, reader
        self._tokenizer = load_tokenizer(pair.target / "tokenizer.json")
        self._written: list[Written] = []

    def write(self, prompt: Prompt) -> None:
        arrival = self._reader.read(prompt.ids, 0)
        text = self._tokenizer.decode(arrival.ids)
        self._written.append(Written(text, len(arrival.ids), arrival.total_ms, self._cloud.hear()))

    def finish(self) -> list[Written]:
        return self._written


@contextmanager
def _open(pair: Pair, link: Link, patience: float) -> Iterator[Session]:
    with Assisted(pair, patience) as cloud, Reader(link(cloud.address)) as reader:
        session = _Reading(cloud, reader, pair)
        session.write(Prompt("", [pair.end_ids[0]]))
        session.finish().clear()
        yield session


ASSISTED = System(
    "transformers, assisted generation",
    "both models beside each other in the cloud, as `generate(assistant_model=...)` has them by default; "
    "the cloud streams each token as it is settled",
    _open,
)


def _serve(pipe: Connection, pair: Pair) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.generation.streamers import BaseStreamer

    class Streamer(BaseStreamer):
        """Tokens go into a queue as they are settled, and None after the last."""

        def __init__(self) -> None:
            self.tokens: queue.SimpleQueue[int | None] = queue.SimpleQueue()
            self._has_prompt = False

        def put(self, value: torch.Tensor) -> None:
            if self._has_prompt:
                for token in value.reshape(-1).tolist():
                    self.tokens.put(token)
            self._has_prompt = True

        def end(self) -> None:
            self.tokens.put(None)

    torch.set_num_threads(1)  # the other side of the link wants a core as well
    target, draft = (
        AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, local_files_only=True).eval()
        for source in (pair.target, pair.draft)
    )
    passes = 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    target.register_forward_pre_hook(count)

    def generate(prompt: Sequence[int], streamer: Streamer) -> None:
        ids = torch.tensor([list(prompt)])
        try:
            target.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                assistant_model=draft,
                streamer=streamer,
                do_sample=False,
                max_new_tokens=pair.tokens,
                eos_token_id=list(pair.end_ids),
                pad_token_id=pair.end_ids[0],
            )
        finally:
            streamer.end()

    def write(prompt: list[int], _: int) -> Iterator[int]:
        nonlocal passes
        passes = 0
        streamer = Streamer()
        thread = threading.Thread(target=generate, args=(prompt, streamer), daemon=True)
        thread.start()
        yield from iter(streamer.tokens.get, None)
        thread.join()
        pipe.send(passes)

    with ear(write) as address:
        pipe.send(address)
        pipe.recv()  # until it is closed
