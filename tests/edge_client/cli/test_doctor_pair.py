"""The table of a pair, and how far it has come, for people."""

from __future__ import annotations

import io

from edge_client.cli.doctor_pair import Progress, table


def cells(*rates: float, money: float | None = None) -> list[dict]:
    return [
        {"round_trip": trip, "rate": rate, "gain": rate / 20, "calls": 0.05, "money": money}
        for trip, rate in zip((0.0123, 0.0, 0.2), rates, strict=True)
    ]


def values(**modes: list[dict]) -> dict:
    measured = {
        "texts": 5,
        "tokens": 300,
        "round_trips": [0.0123, 0.05, 0.2],
        "asked": 0.034,
        "asked_in_the_long_run": 0.02,
        "run_length": 21.4,
        "guessed": 0.95,
        "tokens_a_pass": 3.51,
        "draft_seconds": 0.00036,
        "pass_seconds": {"sprint": None, "exact": 0.0321, "cloud": 0.0089},
    }
    return {"text_tokens": 128, "currency": "EUR", "modes": modes, "measured": measured}


def test_the_columns_stand_below_one_another_and_all_that_it_rests_on_is_said():
    told = table(values(sprint=cells(428, 430, 90), cloud=cells(20, 20, 19.5)))
    assert told.splitlines() == [
        "     link                      here, 12.3 ms   0 ms  200 ms",
        "     sprint, tokens/s                    428    430    90.0",
        "       times the plain stream          21.40  21.50    4.50",
        "       calls/token                     0.050  0.050   0.050",
        "     cloud, tokens/s                    20.0   20.0    19.5",
        "       calls/token                     0.050  0.050   0.050",
        "     Of texts of 128 tokens, from 5 with 300 tokens in all, over 12.3 ms, 50 ms and 200 ms;",
        "     longer links than this one were made by holding answers back.",
        "     Sprint asked about 3.4 % of the tokens (in the long run 2.0 %), 21 accepted in a row.",
        "     Exact wrote 3.5 tokens a pass, 95 % guessed.",
        "     The draft took 0.36 ms a token.",
        "     A pass of the target 32.1 in exact, 8.9 in cloud ms.",
    ]


def test_money_has_a_line_where_there_are_prices():
    told = table(values(exact=cells(40, 40, 20, money=0.00123)))
    assert "\n       EUR/1,000 tokens              0.00123  0.00123  0.00123\n" in told
    assert "money/1,000 tokens" in table(values(exact=cells(1, 1, 1, money=1.0)) | {"currency": ""})
    assert "\x1b" not in table(values(exact=cells(1, 1, 1, money=1.0)) | {"currency": "\x1b[1m"})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO) -> str:
    now = 0.0
    progress = Progress(stream, lambda: now)
    for done in range(3):
        progress(done, 9)
        now += 6.0
    progress.end()
    progress.end()
    return stream.getvalue()


def test_how_far_it_is_is_told_now_and_then_and_makes_room_on_a_terminal():
    line = "edge-client: writing with this pair: {} of at most 9 texts"
    assert [one.rstrip() for one in told(io.StringIO()).splitlines()] == [line.format(0), line.format(2)]
    *lines, room, rest = told(Terminal()).split("\r")
    assert [one.rstrip() for one in lines] == [line.format(done) for done in range(3)]
    assert (room.strip(), rest) == ("", "")
