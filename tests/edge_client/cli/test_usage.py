"""`edge-client usage`, and prices and caps on the command line."""

from __future__ import annotations

import io
import json

import pytest

from edge_client.cli.usage_report import Line, as_dict, as_text
from edge_client.usage.amount import Amount
from edge_client.usage.daybook import Figures, Page, Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from tests.edge_client.usage.billing import total

EUR = Prices(price_in=1.0, price_out=10.0, currency="EUR")
TEXT = Figures(2, 100, 20, 300, 400, Amount(30, 200, 30, 1_500_000))


def keep(tmp_path, day: str, payee: Payee, figures: Figures = TEXT) -> None:
    def edit(page: Page) -> None:
        page[payee] = figures

    Ledger.at(tmp_path / "state").change(day, edit)


def test_what_a_text_spent_is_shown(edge):
    words = ("Tom", "--max-tokens", "40", "--mode", "exact", "--price-in", "1", "--price-out", "2", "--currency", "EUR")
    status, _, err = edge(*words)
    assert status == 0
    assert err.rstrip().endswith(" EUR, streamed 0.000084 EUR; seed 0")
    assert edge("Tom", "--max-tokens", "10", "--mode", "local", "--price-out", "2")[2].count("streamed") == 0
    status, out, _ = edge("usage")
    assert status == 0
    head, row = (line.split() for line in out.splitlines()[:2])
    assert head[:4] == ["day", "target", "texts", "tokens"]
    assert row[:5] == [Ledger().today(), "loopback:0", "(scripted)", "1", "40"]
    assert "Streaming all of it from the target would have cost 0.000084 EUR; 0.000084 EUR were spent, 0 % less." in out


def test_it_is_json_for_programs(edge):
    edge("Tom", "--max-tokens", "40", "--mode", "sprint", "--price-out", "2")
    status, out, _ = edge("usage", "--json", "--days", "1")
    report = json.loads(out)
    (line,) = report["lines"]
    assert (status, line["texts"], line["tokens"], line["prices"]["price_out"]) == (0, 1, 40, 2.0)
    assert line["money"] == pytest.approx(2e-6 * line["tokens_out"])
    assert report["money"][0]["saved"] == pytest.approx(1 - line["tokens_out"] / 40)
    assert report["unknown"] == []


def test_the_target_that_is_configured_does_not_narrow_it(edge, tmp_path, monkeypatch):
    keep(tmp_path, Ledger().today(), Payee("one:1", "aaaa", "one", EUR))
    monkeypatch.setenv("TANDEM_TARGET", "other:2")
    assert "one:1" in edge("usage")[1]
    assert "one:1" not in edge("usage", "--target", "other:2")[1]


def test_nothing_is_nothing(edge):
    assert edge("usage")[1] == "Nothing was spent in the last 30 days.\n"
    assert edge("usage", "--days", "1")[1] == "Nothing was spent today.\n"
    assert json.loads(edge("usage", "--json")[1]) == {"lines": [], "money": [], "unknown": []}


def test_a_table_of_days_and_targets(edge, tmp_path):
    day = Ledger().today()
    keep(tmp_path, day, Payee("one:1", "abcdef01", "the one", EUR))
    keep(tmp_path, "2001-01-01", Payee("two:2", "12345678", "", EUR))
    out = edge("usage", "--days", "20000")[1]
    rows = [line.split() for line in out.splitlines()[1:4]]
    assert rows[0][:3] == ["2001-01-01", "two:2", "2"]
    assert " ".join(rows[1]) == (f"{day} one:1 (the one) 2 100 30 200 30 300 400 1.50 0.000500 EUR 0.001020 EUR 51 %")
    assert rows[2][:5] == ["all", "4", "200", "60", "400"]
    for name in ("one:1", "the one", "abcd"):
        assert "two:2" not in edge("usage", "--days", "20000", "--target", name)[1]
        assert len(json.loads(edge("usage", "--days", "20000", "--target", name, "--json")[1])["lines"]) == 1
    assert edge("usage", "--target", "abc")[1].startswith("Nothing was spent")


def test_what_is_not_known_is_said(edge, tmp_path):
    day = Ledger().today()
    keep(tmp_path, day, Payee("one:1"), Figures(1, spent=Amount(3, 9, 3), reserved=Amount(32, 2048, 64)))
    keep(tmp_path, "2001-01-01", Payee("two:2", prices=Prices(price_second=1.0)))
    (tmp_path / "state" / "usage" / "2001-01-02.json").write_text("{")
    keep(tmp_path, "2001-01-03", Payee("two:2"))
    (tmp_path / "state" / "usage" / "2001-01-03.damaged").write_text("{")
    out = edge("usage", "--days", "20000")[1]
    _, said = out.split("Not known:\n")
    assert [sentence[2:30] for sentence in said.splitlines()] == [
        "what was spent on 2001-01-02",
        "a damaged page of 2001-01-03",
        "at most 2112 tokens and 32 c",
        "what texts cost that were wr",
        "how long the target would ta",
    ]
    assert len(json.loads(edge("usage", "--days", "20000", "--json")[1])["unknown"]) == 5


def test_currencies_are_not_added_up():
    lines = [Line("2026-11-27", Payee("one:1", prices=Prices(price_out=1, currency=name)), TEXT) for name in "AB"]
    assert as_text(lines, [], 7).count("Streaming all of it") == 2
    assert [sum_["currency"] for sum_ in as_dict(lines, [])["money"]] == ["A", "B"]


def test_what_a_target_calls_itself_is_no_command_to_the_terminal(edge, tmp_path):
    keep(tmp_path, Ledger().today(), Payee("one:1", "f", "\x1b[2Jevil"))
    assert "\x1b" not in edge("usage")[1]


def test_a_cap_is_told_of_even_quietly_and_the_text_goes_on(edge):
    words = ("Tom", "--max-tokens", "20", "--mode", "exact", "--quiet")
    status, text, err = edge(*words, "--cap-calls", "0")
    assert (status, bool(text)) == (0, True)
    assert err.startswith("edge-client: warning: the cap of 0 calls a day is reached (0 spent today")
    assert err.endswith("the draft writes this text alone; raise the cap to go on\n")
    assert "streamed" not in err
    status, out, err = edge(*words, "--cap-calls", "0", "--on-outage", "fail")
    assert (status, out) == (3, "")
    assert err.startswith("edge-client: the cap of 0 calls a day is reached")
    assert err.endswith("raise the cap to go on (--cap-calls)\n")


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud"])
@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_cap_that_is_reached_in_the_middle_is_told_of_once_and_as_it_is(edge, mode, quiet):
    """The text does not wait, but goes on alone, and says so."""
    words = ("Tom", "--max-tokens", "60", "--mode", mode, "--window", "4", "--no-memory", "--cap-tokens", "30")
    status, _, err = edge(*words, *quiet)
    assert status == 0
    assert err.count("is reached") == 1
    assert "the text goes on from the draft alone" in err
    assert "waits" not in err


def test_a_cap_that_makes_no_sense_is_refused(edge):
    status, _, err = edge("Tom", "--cap-money", "5")
    assert status == 2
    assert "a cap on money needs a price" in err
    assert "--price-in, --price-out, --price-call, --price-second" in err
    assert edge("Tom", "--price-in", "-5")[0] == 2
    assert edge("usage", "--days", "0")[0] == 2
    assert edge("usage", "--days", "9" * 30)[0] == 0


def test_it_is_forgotten_once_somebody_confirms(edge, tmp_path, monkeypatch):
    assert edge("usage", "--reset")[1].startswith("there was nothing to remove")
    keep(tmp_path, "2001-01-01", Payee("one:1"))
    status, _, err = edge("usage", "--reset")
    assert (status, "confirm that (--yes)" in err) == (2, True)
    for answer, left in (("\n", 1), ("n\n", 1), ("y\n", 0)):
        typed = io.StringIO(answer)
        typed.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", typed)
        status, out, err = edge("usage", "--reset")
        assert (status, "Remove what was counted on 1 day since 2001-01-01?" in err) == (0, True)
        assert out.startswith("nothing was removed" if left else "removed 1 day from")
        assert len(Ledger.at(tmp_path / "state").days()) == left
    keep(tmp_path, "2001-01-01", Payee("one:1"))
    assert edge("usage", "--reset", "--yes")[0] == 0
    assert total(Ledger.at(tmp_path / "state")) == Figures()


def test_what_was_spent_without_a_memory_is_counted_too(edge, tmp_path):
    edge("Tom", "--max-tokens", "5", "--no-memory")
    assert total(Ledger.at(tmp_path / "state")).texts == 1
