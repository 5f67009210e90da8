"""Nothing of a stop string is ever shown, nothing else is lost, and the outcome does not depend on the tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.stopping import FinishReason, Stopper

END = 0
bounded = settings(max_examples=50, deadline=None)
# Few letters, so that stop strings and their beginnings abound.
words = st.text("ab\n", max_size=12)
stop_strings = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


def run(stopper: Stopper, parts: list[str], rest: str = "") -> list[str]:
    """What is shown, token by token, and at last when the text is over."""
    shown = []
    for part in parts:
        if stopper.finish_reason:
            break
        shown.append(stopper.push(1, part))
    return [*shown, stopper.flush(rest)]


def expected(text: str, stops: list[str]) -> tuple[str, bool]:
    """By the definition: the shortest beginning of the text that ends in a stop string is where it stops."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


@bounded
@given(parts=st.lists(words, max_size=12), rest=words, stops=stop_strings)
def test_any_split_shows_the_text_up_to_the_first_stop(parts, rest, stops):
    stopper = Stopper([END], stops, max_tokens=100)
    text, stopped = expected("".join(parts) + rest, stops)
    assert "".join(run(stopper, parts, rest)) == text
    assert (stopper.finish_reason is FinishReason.STOP) == stopped


@bounded
@given(parts=st.lists(words, max_size=12), stops=stop_strings)
def test_no_more_is_held_back_than_could_become_a_stop(parts, stops):
    stopper = Stopper([END], stops, max_tokens=100)
    pushed = shown = ""
    for part in parts:
        shown += stopper.push(1, part)
        pushed += part
        if stopper.finish_reason:
            break
        held = pushed.removeprefix(shown)
        assert shown + held == pushed
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_the_stop_that_is_complete_first_counts_whatever_the_split():
    for parts in (["xabcd"], ["xab", "cd"], list("xabcd")):
        stopper = Stopper([], ["abcd", "bc"], 10)
        assert "".join(run(stopper, parts)) == "xa"


def test_end_token_ends_and_is_not_shown():
    stopper = Stopper([END], ["stop"], 10)
    assert stopper.push(5, "a sto") == "a "
    assert stopper.push(END, "<end>") == ""
    assert stopper.finish_reason is FinishReason.END
    assert stopper.push(5, "p and more") == ""
    assert stopper.flush() == "sto"


@pytest.mark.parametrize(("last", "reason"), [((1, "x"), "length"), ((END, ""), "end"), ((1, "a!"), "stop")])
def test_the_last_allowed_token(last, reason):
    stopper = Stopper([END], ["!"], 3)
    shown = [stopper.push(1, "a"), stopper.push(1, "b")]
    assert (stopper.finish_reason, stopper.remaining) == (None, 1)
    shown += [stopper.push(*last), stopper.flush()]
    assert stopper.finish_reason == reason
    assert (stopper.tokens, stopper.remaining) == (3, 0)
    assert "".join(shown) == {"length": "abx", "end": "ab", "stop": "aba"}[reason]


def test_a_stop_that_completes_in_the_last_bytes_is_not_shown():
    stopper = Stopper([], ["a\ufffd"], 1)
    assert stopper.push(1, "xa") == "x"
    assert stopper.finish_reason is FinishReason.LENGTH
    assert stopper.flush("\ufffd") == ""
    assert stopper.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(("stops", "most"), [([""], 1), (["a", ""], 1), ([], 0), ([], -3)])
def test_what_makes_no_sense_is_refused(stops, most):
    with pytest.raises(InputError):
        Stopper([], stops, most)


# Tokens that are not shown, and that a stop string may spell.

SPELLED = {5: "<|user|>", 6: "<|us", 7: "<|end|>"}


def write(stops: list[str], tokens: list[tuple[int, str]]) -> tuple[str, FinishReason | None]:
    stopper = Stopper([END], stops, 100, SPELLED)
    shown = ""
    for token, text in tokens:
        shown += stopper.push(token, text)
    return shown + stopper.flush(), stopper.finish_reason


@pytest.mark.parametrize(
    ("stops", "tokens", "shown"),
    [
        (["<|user|>"], [(1, "a"), (5, ""), (1, "b")], "a"),
        (["<|user|>"], [(1, "a<|us"), (1, "er|>b")], "a"),  # written as text
        (["a<|user|>b"], [(1, "xa"), (5, ""), (1, "bc")], "x"),
        (["a<|user|>b"], [(1, "xa"), (5, ""), (1, "c")], None),
        (["<|user|><|end|>"], [(1, "a"), (5, ""), (7, ""), (1, "b")], "a"),
        (["<|user|><|end|>"], [(1, "a"), (5, ""), (1, "b"), (7, "")], None),
        (["<|user|>", "b"], [(1, "ab"), (5, "")], "a"),
        (["b"], [(1, "a"), (5, ""), (1, "c")], None),
        (["<|user|>x<|user|>"], [(1, "a"), (5, ""), (1, "x<|user|>b")], "a"),  # a token, and the same as text
        (["<|user|>", "ser|>c"], [(1, "a<|"), (1, "user|"), (1, ">c")], "a"),
        (["<|end|>b", "nd|>c"], [(1, "a"), (7, ""), (1, "c")], None),  # half a token is none
        (["<|end|>b", "c<|e"], [(1, "ac"), (7, ""), (1, "d")], None),
    ],
)
def test_a_token_that_is_not_shown_can_stop_a_text(stops, tokens, shown):
    whole = "".join(text for _, text in tokens)
    assert write(stops, tokens) == ((whole, None) if shown is None else (shown, FinishReason.STOP))


NAMES = {5: "<a>", 6: "<a", 7: "b>"}
TOKENS = st.lists(st.sampled_from([*NAMES, *"ab<>", "<a>", "<a"]), max_size=12)


@bounded
@given(TOKENS, st.lists(st.text("ab<>", min_size=1, max_size=6), min_size=1, max_size=3))
def test_a_stop_is_found_where_it_is_spelled_whichever_of_it_are_tokens(tokens, stops):
    """By the definition, on the text with such tokens spelled out: a stop holds all of a token or nothing."""
    text, inside, shown = "", set(), ""
    for token in tokens:
        word = NAMES.get(token, "") if any(NAMES.get(token, "-") in stop for stop in stops) else ""
        inside |= set(range(len(text) + 1, len(text) + len(word)))
        text += word or (token if isinstance(token, str) else "")
        shown += "." * len(word) or (token if isinstance(token, str) else "")
    places = [
        (end, end - len(stop))
        for stop in stops
        for end in range(len(text) + 1)
        if text[:end].endswith(stop) and not {end, end - len(stop)} & inside
    ]
    meant = shown[: min(places)[1]] if places else shown
    stopper = Stopper([END], stops, 100, NAMES)
    found = ""
    for token in tokens:
        found += stopper.push(1, token) if isinstance(token, str) else stopper.push(token, "")
    assert found + stopper.flush() == meant.replace(".", "")
    assert (stopper.finish_reason is FinishReason.STOP) == bool(places)


def test_a_stop_of_very_many_tokens_is_no_work():
    names = {id: f"<{id}>" for id in range(1, 1000)}
    stopper = Stopper([END], ["".join(names.values())], 5000, names)
    assert not any(stopper.push(id, "") for id in names)
    assert stopper.finish_reason is FinishReason.STOP
