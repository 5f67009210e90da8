"""The ledger's files: days of the user's own, damage, disks that are full, and what is forgotten."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.usage import daybook
from edge_client.usage.amount import Amount
from edge_client.usage.daybook import Figures, Page, Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from shared.errors import DamagedMemory, InputError

NOW = datetime(2026, 11, 27, 12, tzinfo=ZoneInfo("UTC")).timestamp()
HERE = Payee("here:1", "0123456789", "a target")

counts = st.integers(0, 1 << 60)
amounts = st.builds(Amount, counts, counts, counts, counts)
figures = st.builds(Figures, counts, counts, counts, counts, counts, amounts, amounts)
prices = st.builds(
    Prices, price_in=st.floats(0, 1e6), price_out=st.floats(0, 9), currency=st.sampled_from(["", "EUR", "€"])
)
payees = st.builds(Payee, st.text(max_size=9), st.text(max_size=9), st.text(max_size=200), prices)


@contextmanager
def time_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@contextmanager
def full_disk() -> Iterator[None]:
    """While it lasts, this process may write no file of more than a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def spend(calls: int):
    def edit(page: Page) -> None:
        page[HERE] = page.get(HERE, Figures()) + Figures(1, spent=Amount(calls))

    return edit


@given(st.dictionaries(payees, figures, max_size=4))
def test_a_page_is_read_as_it_was_written(page):
    assert daybook.read(daybook.written(page)) == page


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "an object with `format` 1"),
        ('{"format": 2, "entries": []}', "an object with `format` 1"),
        ('{"format": 1}', "`entries` must be a list"),
        ('{"format": 1, "entries": [3]}', r"`entries\[0\]` must be an object"),
        ('{"format": 1, "entries": [{"target": {}, "figures": {}}]}', "must be an object, not null"),
    ],
)
def test_what_is_no_page_says_why(text, why):
    with pytest.raises(ValueError, match=why):
        daybook.read(text)


@given(st.data())
def test_values_that_are_no_counts_are_refused(data):
    page = json.loads(daybook.written({HERE: Figures(1, spent=Amount(2))}))
    target, taken = page["entries"][0]["target"], page["entries"][0]["figures"]
    place = data.draw(st.sampled_from([target, target["prices"], taken, taken["spent"], taken["reserved"]]))
    wrong = data.draw(st.sampled_from([-1, None, [], True, float("inf")]))
    place[data.draw(st.sampled_from(sorted(place)))] = wrong
    with pytest.raises(ValueError, match="`"):
        daybook.read(json.dumps(page))


def test_days_are_the_users_own(tmp_path, monkeypatch):
    """Noon in London is tomorrow on one side of the earth; a page has the day of the place where it was written."""
    ledger = Ledger(tmp_path, lambda: NOW)
    for zone, day in (("UTC", "2026-11-27"), ("Pacific/Kiritimati", "2026-11-28"), ("Etc/GMT+12", "2026-11-27")):
        with time_zone(zone, monkeypatch):
            assert ledger.today() == day
            ledger.change(ledger.today(), spend(1))
    assert {day: ledger.page(day)[HERE].spent.calls for day in ledger.days()} == {"2026-11-27": 2, "2026-11-28": 1}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_the_days_on_which_clocks_change_have_other_lengths(zone, monkeypatch):
    with time_zone(zone, monkeypatch):
        first = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).timestamp()
        days = [Ledger(None, lambda hour=hour: first + 1800 * hour).today() for hour in range(48 * 365)]
    assert days == sorted(days)
    assert len(set(days)) == 365
    assert {days.count(day) for day in set(days)} >= {48}


def test_the_last_days_are_counted_to_today(tmp_path):
    for days_ago in (0, 1, 6, 7, 400):
        ledger = Ledger(tmp_path, lambda days_ago=days_ago: NOW - 86_400 * days_ago)
        ledger.change(ledger.today(), spend(1))
    (tmp_path / "notes.json").write_text("somebody else's")
    ledger = Ledger(tmp_path, lambda: NOW)
    assert ledger.days(7) == ["2026-11-21", "2026-11-26", "2026-11-27"]
    assert len(ledger.days()) == 5


@pytest.mark.parametrize("kept", [True, False])
def test_what_fails_changes_nothing(kept, tmp_path):
    ledger = Ledger(tmp_path / "usage" if kept else None)
    ledger.change("2026-11-27", spend(1))

    def edit(page: Page) -> None:
        spend(9)(page)
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        ledger.change("2026-11-27", edit)
    assert ledger.page("2026-11-27")[HERE].spent.calls == 1
    ledger.change("2026-11-27", spend(1))  # the lock is free
    assert ledger.page("2026-11-27")[HERE].spent.calls == 2
    assert (ledger.forget(), ledger.days()) == (1, [])


def test_a_full_disk_leaves_the_page_as_it_was(tmp_path):
    ledger = Ledger(tmp_path / "usage")
    ledger.change("2026-11-27", spend(1))
    with full_disk(), pytest.raises(OSError, match="large"):
        ledger.change("2026-11-27", spend(1))
    assert ledger.page("2026-11-27")[HERE].spent.calls == 1
    assert [path.name for path in ledger.directory.iterdir()] == ["2026-11-27.json"]


def test_a_damaged_page_is_set_aside_and_costs_no_other_day(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.change("2026-11-26", spend(7))
    (tmp_path / "2026-11-27.json").write_text("{")
    with pytest.raises(DamagedMemory, match="2026-11-27 cannot be read"):
        ledger.change("2026-11-27", spend(1), begins_anew=False)
    assert (tmp_path / "2026-11-27.json").read_text() == "{"
    (said,) = ledger.change("2026-11-27", spend(1))
    assert "set aside as *.damaged" in said
    assert (tmp_path / "2026-11-27.damaged").read_text() == "{"
    assert ledger.page("2026-11-27")[HERE].spent.calls == 1
    with pytest.raises(DamagedMemory, match="set aside"):  # nobody knows what was spent that day
        ledger.change("2026-11-27", spend(1), begins_anew=False)
    assert ledger.change("2026-11-27", spend(1)) == []
    assert ledger.page("2026-11-26")[HERE].spent.calls == 7


def test_a_change_in_the_middle_of_a_change_waits_for_it(tmp_path):
    """As where a stream that nobody holds any more is ended while another one asks."""
    ledger, other = Ledger(tmp_path / "usage"), Ledger(tmp_path / "usage")

    def edit(page: Page) -> None:
        assert other.change("2026-11-27", spend(4)) == []
        spend(2)(page)

    ledger.change("2026-11-27", edit)
    assert ledger.page("2026-11-27")[HERE].spent.calls == 6


def test_files_that_a_killed_program_left_are_swept_away_with_the_next_day(tmp_path):
    ledger = Ledger(tmp_path)
    (tmp_path / ".tmpabc").write_text("half")
    ledger.change("2026-11-27", spend(1))
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-27.json"]


def test_it_is_forgotten_whole(tmp_path):
    ledger = Ledger.at(tmp_path)
    assert ledger.forget() == 0
    for day in ("2026-11-26", "2026-11-27"):
        ledger.change(day, spend(1))
    (tmp_path / "usage" / "2026-11-27.json").write_text("{")
    ledger.change("2026-11-27", spend(1))
    assert ledger.forget() == 2
    assert list((tmp_path / "usage").iterdir()) == []


def test_it_needs_a_home(monkeypatch):
    monkeypatch.delenv("TANDEM_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="TANDEM_STATE"):
        Ledger.at()
    assert os.environ.get("TANDEM_STATE") is None
