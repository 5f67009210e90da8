"""What rows and the table say of scripted results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.ours import CLOUD
from benchmarks.peers.rows import Measured, is_equal, rows_of, table
from tests.benchmarks.peers.scripted import made_text, scripted

WORDS = ["zero", "one", "two", "three", "four"]


def decode(ids: list[int]) -> str:
    """A tokenizer whose every token begins with a space."""
    return "".join(f" {WORDS[id]}" for id in ids)


def measured(name: str, *texts, carried: tuple[int, int] = (0, 0), note: str = "") -> Measured:
    return Measured(scripted(name), texts, carried, note)


def test_speeds_are_over_the_stream_after_the_same_prompt_and_their_median() -> None:
    cloud = measured(CLOUD, *(made_text(total_ms=ms) for ms in (10, 20, 30)))
    # Twice as many tokens in as much time, as much of both, and a quarter of the speed.
    other = measured("other", made_text(tokens=4, total_ms=10), made_text(total_ms=20), made_text(total_ms=120))
    rows = rows_of("home", 25.0, [other, cloud], [[1, 2]] * 3, decode)
    assert [row.speed_up for row in rows] == [1.0, 1.0]
    fast = measured("fast", *(made_text(total_ms=ms) for ms in (1, 5, 30)))
    (row, _) = rows_of("home", 25.0, [fast, cloud], [[1, 2]] * 3, decode)
    assert (row.speed_up, row.ms_a_token, row.texts, row.tokens) == (4.0, 2.5, 3, 6)


def test_bytes_and_passes_are_over_all_tokens() -> None:
    cloud = measured(CLOUD, made_text(tokens=6, passes=3), made_text(tokens=2, passes=1), carried=(80, 16))
    (row,) = rows_of("home", 25.0, [cloud], [[], []], decode)
    assert (row.bytes_up, row.bytes_down, row.tokens_a_pass) == (10.0, 2.0, 2.0)
    silent = measured(CLOUD, made_text(passes=3), made_text(passes=None))
    (row,) = rows_of("home", 25.0, [silent], [[], []], decode)
    assert row.tokens_a_pass is None


@given(
    st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(0, 4), max_size=12), st.sampled_from(["", " ", "\n"])
)
def test_a_text_equals_the_targets_if_it_is_as_long_a_beginning_of_it(ids, reference, space) -> None:
    text = made_text(space + decode(ids) + space, tokens=len(ids))
    assert is_equal(text, reference, decode) == (ids == reference[: len(ids)])


def test_a_text_that_stops_before_the_target_does_is_another_one() -> None:
    assert not is_equal(made_text("one", tokens=2), [1, 2], decode)
    assert is_equal(
        made_text("one two", tokens=4), [1, 2], decode
    )  # both ended there, and ends are counted differently
    texts = [made_text("one two"), made_text("one one")]
    (row,) = rows_of("home", 25.0, [measured(CLOUD, *texts)], [[1, 2, 3]] * 2, decode)
    assert row.equal == pytest.approx(0.5)


def test_the_table_has_a_line_for_everybody_and_says_why_where_there_are_no_figures() -> None:
    cloud, absent = measured(CLOUD, made_text("one two")), measured("absent", note="not installed: pip install it")
    rows = [row for link in ("lan", "far") for row in rows_of(link, 1.0, [absent, cloud], [[1, 2]], decode)]
    text = table(rows)
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert cells[0][-2:] == ["equals the target's text, %", "texts"]
    assert [line[:2] for line in cells[2:]] == [
        [name, f"{link}, 1 ms"] for link in ("lan", "far") for name in ("absent", CLOUD)
    ]
    assert set(cells[2][2:]) == {"-"}
    assert cells[3][-2:] == ["100", "1"]
    assert text.splitlines()[-1] == "absent: not installed: pip install it."
    assert text.count("not installed") == 1
