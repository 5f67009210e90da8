"""Of ways to store weights the fastest is taken that agrees enough, and what was found is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.export.agreement import Agreement
from cloud_target.export.choosing import ENOUGH, Trial, Tried, choose, write
from cloud_target.export.graph import shared_buffer_graph
from cloud_target.export.precision import TABLE, Asked, Precision
from cloud_target.export.progress import BETWEEN, Progress
from shared.errors import InputError
from tests.cloud_target.export.checkpoints import CONTEXT, build

FOUND = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 20)), min_size=1, max_size=9)


@given(FOUND)
def test_the_fastest_that_agrees_enough_or_the_one_that_agrees_most(found):
    tried = [Tried(Precision(), None, Agreement(0.5, agreed, 100), step) for agreed, step in found]
    best = max(tried, key=lambda one: one.rank)
    enough = [one for one in tried if one.agreement.sampled >= ENOUGH]
    if enough:
        assert best in enough
        assert best.step == min(one.step for one in enough)
    else:
        assert best.agreement.sampled == max(agreed for agreed, _ in found)


def trial(tmp_path: Path, told: list[str], layers: int | None = None) -> Trial:
    model = build("llama")
    graph = shared_buffer_graph(model, CONTEXT)
    part = shared_buffer_graph(model, CONTEXT, layers=layers)
    exact = write(part, tmp_path / "exact", told.append)
    return Trial(model, graph, part, exact, CONTEXT, [0], tmp_path, layers, told.append)


@pytest.mark.parametrize("layers", [None, 1])
def test_all_are_measured_and_the_others_removed(tmp_path, layers):
    told: list[str] = []
    ways = [Precision("int4", 128, head="int4"), Precision(), Precision(head="float32")]
    stored, precision, agreed = choose(trial(tmp_path, told, layers), ways)
    rows = [next(line for line in told if line.startswith(str(way))).split()[-4:] for way in ways]
    drawn = [float(row[3].rstrip("%")) for row in rows]
    assert all(float(row[1]) > 0 for row in rows)
    assert [float(row[0]) for row in rows] == sorted(float(row[0]) for row in rows)
    assert precision in ways[1:]
    assert f"{agreed.sampled:.1%}" == f"{drawn[ways.index(precision)]}%"
    assert f"taken: {precision}" in told
    assert any("the first 1 layers" in line for line in told) == (layers is not None)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["exact", stored.path.parent.name])


def test_too_little_agreement_is_a_warning_with_the_figure(tmp_path):
    told: list[str] = []
    _, precision, agreed = choose(trial(tmp_path, told), [Precision("int4", 128, head="int4")])
    assert agreed.sampled < ENOUGH
    assert f"int4 draws the same token as float32 at {agreed.sampled:.1%} of {agreed.tokens} positions" in told
    assert told[-1].startswith("warning: that is less than 97%")
    assert not any(line.startswith("taken") for line in told)
    assert str(precision) == "int4, blocks of 128, int8 activations, int4 head"


def test_what_is_asked_for_narrows_the_table():
    assert Asked("auto").ways() == list(TABLE)
    assert {way.dtype for way in Asked("int4").ways()} == {"int4"}
    assert Asked("int8", block=64).ways() == [Precision("int8", 64)]
    assert Asked("int8", activations="float32").ways() == [Precision("int8", activations="float32")]
    assert Asked("auto", head="int4").ways() == [Precision("int4", head="int4")]
    assert Asked("int4", 128, "float32", "float32").ways() == [Precision("int4", 128, "float32", "float32")]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"dtype": "int2"}, "--dtype cannot be int2; choose from float32, auto, int8, int4"),
        ({"dtype": "int8", "block": 48}, "--block cannot be 48; choose from 32, 64, 128"),
        ({"head": "int8"}, "--head is about weights in 8 or 4 bits"),
        ({"block": 32, "activations": "int8"}, "--block is about weights in 8 or 4 bits"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(given, sentence):
    with pytest.raises(InputError, match=sentence):
        Asked(**given)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 5)), max_size=20))
def test_progress_is_told_every_two_seconds_and_not_at_the_end(steps):
    now, told = [0.0], []
    total = sum(size for size, _ in steps)
    progress = Progress(told.append, "read", total, lambda: now[0])
    done, last = 0, 0.0
    for size, seconds in steps:
        now[0] += seconds
        before = len(told)
        progress(size)
        done += size
        assert (len(told) > before) == (now[0] - last >= BETWEEN and done < total)
        if len(told) > before:
            last = now[0]
            assert told[-1] == f"read: {done / total:.0%}"
