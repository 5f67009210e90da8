"""An engine in another process is the engine: it answers the same, fails the same, and ends with whoever began it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from cloud_target.engine.apart.engine import EngineApart, load_apart
from cloud_target.engine.interface import Feed, Masks, Scores
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from shared.config import Sampling
from shared.errors import InputError, TandemError, TargetError
from tests.cloud_target.engine.apart import loaders
from tests.cloud_target.engine.apart.loaders import VOCABULARY, Faulty
from tests.cloud_target.engine.checkpoints import write_checkpoint
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow  # each begins a process

PATIENCE = 20.0
ANY = EngineSettings()


@pytest.fixture
def apart() -> Iterator[EngineApart]:
    with closing(load_apart(ANY, load=loaders.faulty)) as engine:
        yield engine


def feed(*tokens: int, slot: int = 0, start: int = 0, **more: object) -> Feed:
    return Feed(slot, start, tokens, 0, Sampling(0.7, top_p=0.9, seed=3), **more)  # type: ignore[arg-type]


def same(one: Scores, other: Scores) -> bool:
    """To the bit."""
    arrays = [
        (one.own, other.own),
        (one.own_nll, other.own_nll),
        (one.own_unlikely, other.own_unlikely),
        (one.given.off_strict, other.given.off_strict),
        (one.given.unlikely, other.given.unlikely),
        (one.given.nll, other.given.nll),
    ]
    return one.guesses == other.guesses and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in arrays)


def test_it_is_the_same_engine(apart):
    here = Faulty()
    for name in ("description", "context", "capacity", "block", "token_bytes", "chunk", "step", "branches"):
        assert getattr(apart, name) == getattr(here, name)
    random = np.random.default_rng(0)
    held = dict.fromkeys(range(3), 0)
    for _ in range(60):
        slot = int(random.integers(3))
        match int(random.integers(6)):
            case 0:
                held[slot] = int(random.integers(held[slot] + 1))
                apart.trim(slot, held[slot])
                here.trim(slot, held[slot])
            case 1 if held[slot]:
                other, count = (slot + 1) % 3, int(random.integers(1, held[slot] + 1))
                apart.copy(slot, other, count)
                here.copy(slot, other, count)
                held[other] = count
            case _:
                feeds = []
                for each in {slot, int(random.integers(3))}:
                    tokens = tuple(map(int, random.integers(4, VOCABULARY, int(random.integers(1, 5)))))
                    if held[each] + len(tokens) > here.context:
                        held[each] = 0
                    text = tuple(range(held[each]))
                    feeds.append(feed(*tokens, slot=each, start=held[each], text=text))
                    held[each] += len(tokens)
                assert all(map(same, apart.forward(feeds), here.forward(feeds)))
                seen = apart.vitals()
                assert seen.second_looks == here.vitals().second_looks, "it saw the text of each feed"
                assert seen.resident is None or seen.resident > 1 << 20
    apart.check_integrity()


def test_masks_and_trees_travel(apart):
    bits = np.packbits(np.arange(VOCABULARY) % 2 == 0, bitorder="little")
    masks = Masks("even", 0, lambda: np.stack([bits] * 4))
    feeds = [feed(4, 5, 6, 7, masks=masks), feed(4, 5, 6, 7, slot=1, spare=2, parents=(1, 1))]
    masked, tree = apart.forward(feeds)
    expected = Faulty().forward(feeds)
    assert same(masked, expected[0])
    assert same(tree, expected[1])
    assert not np.any(masked.own % 2)


def test_the_engine_that_is_served(tmp_path):
    checkpoint = str(write_checkpoint(tmp_path / "tiny-llama"))
    settings = EngineSettings(checkpoint, "cpu", "float32", kv_memory=1 << 20, threads=1)
    feeds = [feed(5, 6, 7), feed(8, 9, slot=1)]
    with closing(load_apart(settings)) as apart:
        here = load_engine(settings)
        assert all(map(same, apart.forward(feeds), here.forward(feeds)))
        assert apart.description == here.description
        assert apart.tokenizer is not None
        assert here.tokenizer is not None
        assert apart.tokenizer.to_str() == here.tokenizer.to_str()


def test_errors_are_what_they_were(apart, caplog):
    with pytest.raises(ValueError, match="slot -1 is below 0"):
        apart.forward([feed(4, slot=-1)])
    (wrong,) = apart.forward([feed(Faulty.IS_WRONG)])
    assert isinstance(wrong, TargetError)
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="Unheard"):
        apart.forward([feed(Faulty.FAILS)])
    assert "the engine failed with Unheard" in caplog.text
    assert "loaders.py" in caplog.text
    assert "Feed(" not in caplog.text
    assert len(apart.forward([feed(4)])) == 1, "it goes on"


def test_one_that_is_gone_is_an_error_each_time(apart):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the engine's process was killed by SIGKILL"):
            apart.forward([feed(Faulty.DIES)])
    with pytest.raises(RuntimeError):
        apart.copy(0, 1, 1)


def test_what_cannot_be_loaded_says_why():
    told: list[str] = []
    with closing(load_apart(ANY, told.append, loaders.faulty)):
        assert told == ["it is faulty"]
    with pytest.raises(InputError, match="no such model"):
        load_apart("no such model", load=loaders.refused)  # type: ignore[arg-type]
    with pytest.raises(TandemError, match=r"was killed by SIGKILL; .* too little memory"):
        load_apart(ANY, load=loaders.dies)


HOLDER = """
import sys, threading, time
from cloud_target.engine.apart.engine import load_apart
from tests.cloud_target.engine.apart import loaders
from tests.cloud_target.engine.apart.test_apart import ANY, feed
engine = load_apart(ANY, load=loaders.faulty)
print(engine._process.pid, flush=True)
if sys.argv[1] == "hangs":
    threading.Thread(target=lambda: engine.forward([feed(loaders.Faulty.HANGS)]), daemon=True).start()
while True:
    time.sleep(0.2)
    if sys.argv[1] == "hangs":
        engine.show_where()
"""


def holder(way: str) -> subprocess.Popen[str]:
    ends = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", HOLDER, way], cwd=ROOT, stdout=ends, stderr=ends, text=True)


def is_there(pid: int) -> bool:
    """Whether this process has not ended; one that nobody has waited for has."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("way", ["idle", "hangs"])
def test_it_ends_with_whoever_began_it(way):
    if sys.platform != "linux":
        pytest.skip("only Linux ends a process that hangs with its parent, and has /proc")
    with holder(way) as process:
        pid = int(process.stdout.readline())
        assert is_there(pid)
        process.kill()
        ends = time.monotonic() + PATIENCE
        while is_there(pid):
            assert time.monotonic() < ends
            time.sleep(0.02)


def test_where_a_pass_hangs_can_be_seen():
    with holder("hangs") as process:
        pid = int(process.stdout.readline())
        seen = ""
        while "loaders.py" not in seen:
            seen += process.stderr.readline()
        assert "in forward" in seen
        process.kill()
        if is_there(pid):  # where the system does not end it with its parent
            os.kill(pid, signal.SIGKILL)
