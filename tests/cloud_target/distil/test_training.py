"""A training run learns, can be cut after any step, and ends as if it had not been."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from cloud_target.distil import state
from cloud_target.distil.held_out import SAMPLINGS, HeldOut, write
from cloud_target.distil.layers import Layers
from cloud_target.distil.settings import Settings
from cloud_target.distil.stopping import Stopped, Stopping
from cloud_target.distil.table import Line, Measured
from cloud_target.distil.training import Training
from cloud_target.training.loop import Loop
from cloud_target.training.teacher import SoftTargets, ask_teacher
from shared.errors import InputError
from tests.cloud_target.distil.conftest import CONTEXT, documents, writer

Found = list[tuple[dict[str, torch.Tensor] | None, list[Line]]]


@pytest.fixture(scope="module")
def targets(target: LlamaForCausalLM) -> SoftTargets:
    return ask_teacher(target, documents(60), top=32)


@pytest.fixture(scope="module")
def held(target: LlamaForCausalLM) -> list[HeldOut]:
    return [write(target, writer(target, documents(12, seed=1)), s, CONTEXT, seed=0, tokens=100) for s in SAMPLINGS]


@pytest.fixture
def make(
    target: LlamaForCausalLM, targets: SoftTargets, held: list[HeldOut], settings: Settings, tmp_path: Path
) -> Callable[..., tuple[Training, Found]]:
    """Makes a run in a directory, whose clock goes a second a look, and the list of what it keeps."""

    def made(name: str = "work", **changes: Any) -> tuple[Training, Found]:
        (tmp_path / name).mkdir(exist_ok=True)
        kept: Found = []
        now = iter(range(10**9))

        def keep(model: PreTrainedModel | None, lines: Sequence[Line]) -> None:
            weights = model and {key: value.clone() for key, value in model.state_dict().items()}
            kept.append((weights, list(lines)))

        training = Training(
            Layers(target).keep([0, 2]),
            targets,
            held,
            Measured(0.1, 0.3, 300, "cpu"),
            replace(settings, **changes),
            300,
            torch.float32,
            48,
            tmp_path / name,
            keep,
            lambda _: None,
            lambda: float(next(now)),
        )
        return training, kept

    return made


@contextmanager
def signalled_in_step(number: int, how: int = signal.SIGINT) -> Iterator[None]:
    """In the middle of this step, counted from 1, somebody presses Ctrl-C."""
    step, count = Loop.step, 0

    def counted(self: Loop, batch: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), how)
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "step", counted)
        yield


def same(one: dict[str, torch.Tensor] | None, other: dict[str, torch.Tensor] | None) -> bool:
    return one is not None and other is not None and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_it_learns_and_the_table_says_so(make: Callable[..., tuple[Training, Found]]) -> None:
    training, kept = make(tokens=8_000, peak=2e-3, evaluations=4)
    lines = training.run()
    assert len(lines) == 5
    assert [line.tokens for line in lines] == sorted({line.tokens for line in lines})
    assert lines[0].tokens == lines[0].minutes == 0
    assert lines[-1].tokens >= 8_000
    assert lines[-1].worth > lines[0].worth + 0.03
    assert [len(given) for _, given in kept] == [1, 2, 3, 4, 5]
    for number, (model, given) in enumerate(kept):  # a draft for each line that is the best so far, and for no other
        assert (model is not None) == (given[-1].worth >= max(line.worth for line in given))
        assert given == lines[: number + 1]


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [[1], [2, 1]])
def test_a_run_that_is_cut_ends_as_one_that_is_not(
    make: Callable[..., tuple[Training, Found]], cuts: list[int]
) -> None:
    training, whole = make("whole")
    lines = training.run()
    parts: Found = []
    for number in cuts:
        training, kept = make("cut")
        with signalled_in_step(number), pytest.raises(KeyboardInterrupt):
            training.run()
        parts += kept
    training, kept = make("cut")
    again = training.run()
    parts += kept
    assert [replace(line, minutes=0) for line in again] == [replace(line, minutes=0) for line in lines]
    models = [[model for model, _ in found if model is not None] for found in (whole, parts)]
    assert len(models[0]) == len(models[1])
    assert all(same(one, other) for one, other in zip(*models, strict=True))
    training, kept = make("cut")  # and then there is nothing left to do
    assert training.run() == again
    assert kept == []


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_from_its_last_state(make: Callable[..., tuple[Training, Found]]) -> None:
    training, whole = make("whole")
    training.run()

    class Killed(BaseException):
        pass

    step, count = Loop.step, 0

    def dying(self: Loop, batch: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == 4:
            raise Killed
        return step(self, batch)

    training, _ = make("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "step", dying)
        with pytest.raises(Killed):
            training.run()
    training, kept = make("killed")
    assert 0 < training._loop.steps < 4  # the state at a line of the table
    training.run()
    assert [line.worth for line in training.lines] == [line.worth for line in whole[-1][1]]
    assert all(same(one, other) for (one, _), (other, _) in zip(whole[2:], kept[-1:], strict=True) if one)


def test_ctrl_c_ends_within_the_step_and_a_second_one_at_once(make: Callable[..., tuple[Training, Found]]) -> None:
    before = signal.getsignal(signal.SIGINT)
    training, _ = make()
    with signalled_in_step(2), pytest.raises(KeyboardInterrupt):
        training.run()
    assert training._loop.steps == 2
    assert signal.getsignal(signal.SIGINT) == before
    told: list[str] = []
    with Stopping(told.append) as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            stopping.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(told) == 1


@pytest.mark.slow
def test_minutes_count_steps_only_and_end_the_run(make: Callable[..., tuple[Training, Found]]) -> None:
    training, _ = make(tokens=None, minutes=0.2)  # a step takes a second of this clock
    lines = training.run()
    assert training._loop.steps == 12
    assert lines[-1].minutes == 0.2


@contextmanager
def full_disk(size: int = 20_000) -> Iterator[None]:
    """No file can become larger, which is what a full disk looks like."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_of_and_the_state_before_is_whole(make: Callable[..., tuple[Training, Found]]) -> None:
    training, _ = make()
    with signalled_in_step(1), pytest.raises(KeyboardInterrupt):
        training.run()
    directory = training._directory
    training, _ = make()
    with full_disk(), signalled_in_step(1), pytest.raises(InputError, match="make room there, and give the same"):
        training.run()
    assert [path.name for path in directory.iterdir()] == ["state.pt"]
    training, _ = make()
    assert training._loop.steps == 1


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    assert state.load(tmp_path, "cpu") is None
    state.save({"steps": 3, "weights": [torch.arange(3)]}, tmp_path)
    found = state.load(tmp_path, "cpu")
    assert found is not None
    assert found["steps"] == 3
    path = tmp_path / "state.pt"
    whole = path.read_bytes()
    for damage in (b"", whole[:20], whole[: len(whole) // 2], b"no state"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="cannot read the state of the run"):
            state.load(tmp_path, "cpu")
