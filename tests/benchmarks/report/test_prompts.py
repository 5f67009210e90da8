"""What is chosen is chosen on other openings than those that figures are of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.prompts import DIALOGUES, EVERY, STORIES
from benchmarks.report.prompts import Prompts, alternately
from edge_client.settings import Settings
from shared.config import Mode


@given(st.integers(3, 60), st.integers(1, 80), st.integers(1, 80))
def test_no_opening_and_no_seed_is_of_both_kinds(openings, reported, chosen) -> None:
    prompts = Prompts.of([[number] for number in range(openings)])
    report, choose = prompts.to_report(reported), prompts.to_choose(chosen)
    assert (len(report), len(choose)) == (reported, chosen)
    assert not {tuple(prompt.ids) for prompt in report} & {tuple(prompt.ids) for prompt in choose}
    assert not {prompt.seed for prompt in report} & {prompt.seed for prompt in choose}
    assert len(prompts.reported) + len(prompts.others) == openings
    for some in (report, choose):
        assert len({prompt.seed for prompt in some}) == len(some)


def test_of_the_built_in_ones_both_kinds_are_in_both() -> None:
    prompts = Prompts.of(EVERY)  # any sequences will do
    for some in (prompts.reported, prompts.others):
        assert {*some} & {*STORIES}
        assert {*some} & {*DIALOGUES}


def test_kinds_take_turns_and_none_is_lost() -> None:
    kinds = [[[kind, number] for number in range(5)] for kind in range(3)]
    turns = alternately([opening for kind in kinds for opening in kind], 3)
    assert turns == [[kind, number] for number in range(5) for kind in range(3)]
    assert alternately(EVERY, 1) == [*EVERY]


def test_a_prompt_gives_its_seed_to_settings() -> None:
    (prompt,) = Prompts.of([[1], [2], [3]]).to_choose(1)
    settings = prompt.seeded(Settings(max_tokens=5), mode=Mode.CLOUD)
    assert (settings.seed, settings.mode, settings.max_tokens) == (prompt.seed, Mode.CLOUD, 5)
