"""Trials that several programs share: nothing is lost between them, nor when one ends or begins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_client.bundles.standing import Record, Standing, Verdict
from edge_client.bundles.trials import NAME, Trials
from edge_client.promise.trial import LEAST, SAMPLE_TOKENS
from tests.edge_client.bundles.offers import wrote

A = Record("a", "t", "k")
B = Record("b", "t", "k")


def test_programs_at_once_add_up(tmp_path):
    """Each has an object, and so a lock, of its own, as each process has."""

    def write(_: int) -> None:
        trials = Trials(tmp_path / NAME)
        for _ in range(10):
            trials.add("x:1", A, SAMPLE_TOKENS, 8)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    known = Standing.from_text((tmp_path / NAME).read_text())
    assert known.needs[A].samples == 40
    assert known.needs[A].total == 40 * 8 / SAMPLE_TOKENS


def test_a_trial_goes_on_in_the_next_program(tmp_path):
    wrote(Trials(tmp_path / NAME), A, 0.1, 20)
    Trials(tmp_path / NAME).begin("x:1", "b", "a", "t")
    texts = 0
    while Trials(tmp_path / NAME).case("x:1").verdict is Verdict.OPEN:
        wrote(Trials(tmp_path / NAME), B, 0.9, 1)
        Trials(tmp_path / NAME).begin("x:1", "b", "a", "t")  # which changes nothing
        texts += 1
    assert Trials(tmp_path / NAME).case("x:1").verdict is Verdict.FAILED
    assert 8 <= texts <= 12


def test_one_that_comes_while_another_is_on_trial_is_held_against_the_same():
    trials = Trials()
    wrote(trials, A, 0.1, 20)
    trials.begin("x:1", "b", "a", "t")
    wrote(trials, B, 0.2, LEAST)
    trials.begin("x:1", "c", "b", "t")
    assert (trials.case("x:1").digest, trials.case("x:1").before) == ("c", "a")
    assert trials.protected() == {"a"}


def test_one_that_comes_after_a_trial_is_held_against_the_one_that_stood_it():
    trials = Trials()
    wrote(trials, A, 0.1, 20)
    trials.begin("x:1", "b", "a", "t")
    wrote(trials, B, 0.1, 250)
    assert trials.protected() == set()
    trials.begin("x:1", "c", "b", "t")
    assert (trials.case("x:1").digest, trials.case("x:1").before) == ("c", "b")


def test_only_what_was_measured_with_another_target_is_looked_at_twice():
    for target, is_looked_at in (("t", False), ("old", True)):
        trials = Trials()
        wrote(trials, Record("a", target, "k"), 0.1, 20)
        trials.begin("x:1", "b", "a", "t")
        wrote(trials, B, 0.9, 20)
        trials.close("x:1", trials.case("x:1"))
        again = trials.case("x:1")
        assert (again is not None) == is_looked_at
        if again is not None:
            assert (again.digest, again.before, again.is_second, again.is_fair) == ("a", "b", True, True)
            wrote(trials, Record("a", "t", "k"), 1.0, 1)
            trials.close("x:1", trials.case("x:1"))
            assert trials.case("x:1") is None


def test_a_place_that_cannot_be_written_to_keeps_it_in_the_program(tmp_path):
    (tmp_path / "file").write_text("")
    trials = Trials(tmp_path / "file" / NAME)
    wrote(trials, A, 0.1, 20)
    trials.begin("x:1", "b", "a", "t")
    wrote(trials, B, 0.9, 20)
    assert trials.case("x:1").verdict is Verdict.FAILED


def test_a_disk_that_fills_up_loses_nothing_in_the_program(tmp_path, monkeypatch):
    trials = Trials(tmp_path / NAME)
    wrote(trials, A, 0.1, 10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_client.bundles.trials.replace_text", full)
    wrote(trials, A, 0.1, 10)
    assert trials._known.needs[A].samples == 20
    assert Standing.from_text((tmp_path / NAME).read_text()).needs[A].samples == 10


@pytest.mark.parametrize("text", ["", "[", '{"format": 0}', "\ud7ff"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    trials = Trials(tmp_path / NAME)
    assert trials.case("x:1") is None
    wrote(trials, A, 0.1, 3)
    assert Standing.from_text((tmp_path / NAME).read_text()).needs[A].samples == 3


def test_a_text_that_ends_in_the_middle_of_a_change_waits_for_it(tmp_path):
    """The garbage collector may end one anywhere, and so while this very thread holds the file."""
    trials = Trials(tmp_path / NAME)

    class Dropped(Record):
        def __hash__(self) -> int:
            if not ended:
                ended.append(True)
                trials.add("x:1", A, SAMPLE_TOKENS, 3)
            return super().__hash__()

    ended: list[bool] = []
    trials.add("x:1", Dropped("b", "t", "k"), SAMPLE_TOKENS, 5)
    known = Standing.from_text((tmp_path / NAME).read_text())
    assert (known.needs[A].samples, known.needs[B].samples) == (1, 1)


def test_where_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    assert Trials.kept(True).path == tmp_path / NAME
    assert Trials.kept(tmp_path / "mine").path == tmp_path / "mine" / NAME
    assert Trials.kept(False).path is None


def test_one_that_is_gone_back_to_is_held_against_nothing_but_what_was_measured_now():
    trials = Trials()
    wrote(trials, Record("a", "old", "k"), 0.1, 20)
    wrote(trials, Record("b", "older", "k"), 0.1, 20)
    trials.begin("x:1", "b", "a", "t")
    case = trials.case("x:1")
    trials.close("x:1", case)
    assert trials.case("x:1") is None
