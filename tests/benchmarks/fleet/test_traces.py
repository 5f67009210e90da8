"""What becomes of a recorded pass, and of a recorded text under another system."""

from __future__ import annotations

from benchmarks.fleet.traces import Call, Pass, Trace, speculated, streamed

# Two right, one wrong, three right.
TRACE = Trace(20, 6, [Pass(0.5, 20)], right=(True, True, False, True, True, True))


def test_a_pass_with_room_for_all_its_guesses_stays_as_it_is() -> None:
    whole = Pass(0.1, 3, 4, (1, 2, 4), 7)
    assert whole.within(4) == (whole, None)


def test_what_a_pass_without_room_does_not_settle_takes_another_one() -> None:
    here, again = Pass(0.1, 3, 6, (1, 2, 4, 5), 7).within(2)
    assert here == Pass(0.1, 3, 2, (1, 2), 7)
    # The target writes the first that was lost by itself; the other one is a guess behind it.
    assert again == Pass(0.0, 1, 2, (1,), 10)


def test_guesses_that_are_wrong_anyway_cost_no_pass_where_there_is_no_room_for_them() -> None:
    assert Pass(0.1, 3, 6, (1, 2), 7).within(2) == (Pass(0.1, 3, 2, (1, 2), 7), None)


def test_a_streamed_text_takes_a_pass_a_token() -> None:
    passes = streamed(TRACE).passes
    assert passes[0] == Pass(0.5, 20)
    assert [(one.needed, one.guesses, one.shown) for one in passes[1:]] == [(1, 0, at) for at in range(1, 6)]


def test_a_draft_beside_the_target_saves_what_it_gets_right() -> None:
    first, second = speculated(TRACE, 4).passes
    assert first == Pass(0.5, 20, 4, (1, 2), 0, 4)
    assert second == Pass(0.0, 1, 4, (1, 2, 3), 3, 4)


def test_a_call_settles_what_was_shown_what_stands_and_what_the_target_adds() -> None:
    assert Call(0, 12, 3, 2, True).settled == 15
