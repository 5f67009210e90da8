"""AutoDraft (`autodraft-sd`): speculative decoding with trees over a link, its server and its user each a process."""

from __future__ import annotations

import importlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.peers.systems import Link, Pair, Prompt, Session, System, Written
from benchmarks.report.worker import Worker
from shared.errors import InputError, TandemError, first_line

# Its text need not be the target's. In 1.1.1 a tree's mask goes up two levels fewer than the tree is deep
# (`Tree.generate_attention_mask`), so the target judges the last tokens of the deepest branches without their first.
#
# It takes a chat template of its own choosing for every target but those whose path names this family.
_FAMILY = "llama-3-target"
# Runs of each size of draft tree and of target pass by which it learns how long they take. By default 100 and 20, for
# which each link would take minutes more.
_DRAFT_RUNS, _TARGET_RUNS = 10, 5
_WARMING = "Once upon a time"


class AutoDraftServer(Worker):
    """Its server, which loads the target that its user names.

    Args:
        home: a folder of its own.

    Attributes:
        address: host:port.
    """

    def __init__(self, home: Path, patience: float) -> None:
        super().__init__(_serve, home, patience=patience)
        self.address: str = self.ready


class AutoDraftUser(Worker):
    """Its user's side: the draft, and the loop.

    Args:
        home: a folder of its own, for what it learns of the link and the models.
        target: directory of a checkpoint, as the server finds it.
        address: of the server, from here.
    """

    def __init__(self, home: Path, target: Path, address: str, pair: Pair, patience: float) -> None:
        super().__init__(_use, home, target, address, pair, patience=patience)

    def write(self, prompt: Prompt) -> None:
        """Write one text."""
        self.ask(prompt.text)

    def finish(self) -> list[Written]:
        """See `Session.finish`."""
        written: list[Written] = self.ask(None)
        return written


@contextmanager
def _open(pair: Pair, link: Link, patience: float) -> Iterator[Session]:
    until = time.monotonic() + patience
    with tempfile.TemporaryDirectory(prefix="tandem-autodraft-") as folder:
        home = Path(folder)
        target = _with_plain_template(pair.target, home / _FAMILY)
        with (
            AutoDraftServer(home, patience) as server,
            AutoDraftUser(home, target, link(server.address), pair, max(until - time.monotonic(), 1.0)) as user,
        ):
            yield user


AUTODRAFT = System(
    "AutoDraft",
    "`autodraft-sd` in its remote mode, set to be fast, calibrated by itself over the link with fewer runs than it has "
    "by default; it is written for CUDA in float16, and runs here on the CPU in float32, which is faster there",
    _open,
    package="autodraft",
    install="pip install autodraft-sd -c constraints.txt",
)


def _with_plain_template(source: Path, out: Path) -> Path:
    """A checkpoint whose chat template gives the text as it is, so that the prompt is the same for everybody.

    Raises:
        InputError: AutoDraft would load it as another architecture.
    """
    if (kind := json.loads((source / "config.json").read_text(encoding="utf-8")).get("model_type")) != "llama":
        raise InputError(f"AutoDraft is tried with targets of type llama only, and this one is {kind}")
    out.mkdir()
    for file in source.iterdir():
        if file.name not in ("tokenizer_config.json", "chat_template.jinja"):
            (out / file.name).symlink_to(file.resolve())
    words = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    words["chat_template"] = "{{ messages[0]['content'] }}"
    (out / "tokenizer_config.json").write_text(json.dumps(words), encoding="utf-8")
    return out


def _library(home: Path, log: str) -> Any:
    """AutoDraft, in this process; what it prints goes into a file."""
    os.environ |= {
        "AUTODRAFT_DATA_DIR": str(home / "data"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    file = os.open(home / log, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from benchmarks.peers.on_cpu import run_on_cpu  # with it comes torch, which must not see CUDA

    run_on_cpu()
    return importlib.import_module("autodraft")


def _serve(pipe: Connection, home: Path) -> None:
    library = _library(home, "server.log")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    threading.Thread(target=library.serve_target, kwargs={"host": "127.0.0.1", "port": port}, daemon=True).start()
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.05)
    pipe.send(f"127.0.0.1:{port}")
    pipe.recv()  # until it is closed


def _use(pipe: Connection, home: Path, target: Path, address: str, pair: Pair) -> None:
    library = _library(home, "user.log")
    times: list[float] = []

    def asked(_: Iterable[Any], **__: Any) -> Iterator[dict[str, Any]]:
        """The questions, one when it is asked for, in the place of those of a file: systems write in turn."""
        pipe.send("ready")
        while (text := pipe.recv()[0]) is not None:
            begin = time.perf_counter()
            yield {"question_id": len(times), "turns": [text]}
            times.append(1e3 * (time.perf_counter() - begin))
            pipe.send("written")

    # It goes through its questions under a bar of progress, which is the one place to hand them in one by one.
    loop: Any = importlib.import_module("evaluation.eval_autodraft_draft")
    loop.tqdm = asked
    host, _, port = address.rpartition(":")
    engine = library.Autodraft(
        draft_model=str(pair.draft), target_model=str(target), target_host=host, target_port=int(port), cost="api_cost"
    )
    try:
        found = engine.run(
            _WARMING,
            cs="tps",
            save_tradeoff=False,
            device_map="cpu",
            enable_gpu_monitor=False,
            max_new_tokens=pair.tokens,
            draft_profile_model_calls_per_count=_DRAFT_RUNS,
            target_profile_model_calls_per_count=_TARGET_RUNS,
        )
    except EOFError:
        raise
    except Exception as error:
        raise TandemError(f"AutoDraft ended with {type(error).__name__}: {first_line(error)}") from error
    pipe.send([_written(answer, ms) for answer, ms in zip(found["raw_result"]["answers"], times, strict=True)])


def _written(answer: dict[str, Any], total_ms: float) -> Written:
    (choice,) = answer["choices"]
    return Written(choice["turns"][0], choice["new_tokens"][0], total_ms, choice["idxs"][0] + 1)
