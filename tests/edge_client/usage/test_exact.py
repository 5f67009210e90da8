"""The ledger against the target's own bill: whatever happens to a text or its link, it says no less and no more."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.testing import LossyTransport, ManualClock, Trouble
from edge_client.usage import ledger as ledgers
from edge_client.usage.account import BLOCK, Account
from edge_client.usage.caps import Caps
from edge_client.usage.daybook import Payee
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from shared.errors import CapReached, TargetError
from tests.edge_client.clients import client_of
from tests.edge_client.scripted_device import fake_cloud, fake_edge
from tests.edge_client.target.conversation import CONTEXT, PROMPT, make_cloud, open_session
from tests.edge_client.usage.billing import Billing, is_just, total, untimed

MODES = ("sprint", "exact", "cloud", "auto")
PRICES = Prices(price_in=1.0, price_out=4.0, price_call=1e-5)
troubles = st.lists(st.sampled_from([*Trouble, *[Trouble.NONE] * 12]), max_size=60)
caps = st.builds(
    Caps,
    cap_money=st.none() | st.floats(0, 0.002),
    cap_tokens=st.none() | st.integers(0, 200),
    cap_calls=st.none() | st.integers(0, 80),
)


def ledger_in(directory: str) -> Ledger:
    return Ledger.at(Path(directory))


@pytest.mark.parametrize("mode", MODES)
def test_of_whole_texts_it_says_what_the_target_counted(mode, tmp_path):
    target = Billing(fake_cloud())
    with fake_edge(LossyTransport(target, [], ManualClock()), ledger=tmp_path, mode=mode, max_tokens=50) as edge:
        answers = [edge.generate("Tom", seed=seed) for seed in range(3)]
    figures = total(Ledger.at(tmp_path))
    assert untimed(figures.spent) == target.bill
    assert not figures.reserved
    assert (figures.texts, figures.shown) == (3, 150)
    assert figures.prompt == sum(answer.prompt_tokens for answer in answers)
    assert figures.spent.calls == sum(answer.usage.calls for answer in answers)
    assert figures.bytes_up == sum(answer.usage.bytes_up + answer.usage.bytes_prompt for answer in answers)
    assert figures.bytes_down == sum(answer.usage.bytes_down for answer in answers)
    assert figures.spent == sum((answer.cost.figures.spent for answer in answers[1:]), answers[0].cost.figures.spent)


def test_a_text_that_is_streamed_costs_what_streaming_it_costs(tmp_path):
    target = Billing(fake_cloud())
    with fake_edge(LossyTransport(target, [], ManualClock()), ledger=tmp_path, mode="cloud") as edge:
        answer = edge.generate("Tom", max_tokens=70)
    figures = total(Ledger.at(tmp_path))
    assert untimed(figures.streamed) == target.bill == untimed(answer.cost.figures.streamed)


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(MODES), st.integers(1, 90), st.integers(0, 60)), max_size=3), troubles, caps)
def test_whatever_happens_it_is_just_and_no_cap_is_passed(texts, plan, capped):
    """Texts that are read to the end, or given up at some token, over a link that breaks."""
    target, clock = Billing(fake_cloud()), ManualClock()
    with tempfile.TemporaryDirectory() as directory:
        edge = fake_edge(
            LossyTransport(target, plan, clock), ledger=directory, clock=clock, prices=PRICES, caps=capped, timeout=5.0
        )
        with edge:
            for mode, length, until in texts:
                with suppress(TargetError), edge.stream("Tom and", mode=mode, max_tokens=length) as stream:
                    for number, _ in enumerate(stream):
                        if number == until:
                            break
        figures = total(ledger_in(directory))
    assert is_just(figures, target.bill)
    bill = target.bill
    assert capped.cap_calls is None or bill.calls <= capped.cap_calls
    assert capped.cap_tokens is None or bill.tokens <= capped.cap_tokens
    assert capped.cap_money is None or PRICES.money(bill) <= capped.cap_money + 1e-12


@pytest.mark.slow
@given(st.data(), st.integers(0, 3), st.sampled_from([0, 0, 9_000]))
def test_every_call_counts_on_one_day_and_no_day_is_lost(data, capped, between):
    """Several texts at once, while midnights go by, `between` tokens too: all pages together are the bill."""
    target, now = Billing(make_cloud()), [1_795_779_000.0]
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger.at(Path(directory), lambda: now[0])
        limits = Caps(cap_calls=20 * capped or None)
        client = client_of(LossyTransport(target, [], ManualClock()))
        days: dict[str, int] = {}
        accounts = [Account(ledger, Payee("here", "f", "n"), limits) for _ in range(2)]
        sessions = [open_session(client, account=account) for account in accounts]
        texts = [list(PROMPT) for _ in accounts]
        for _ in range(data.draw(st.integers(1, 12))):
            which, length = data.draw(st.integers(0, 1)), data.draw(st.integers(1, 9))
            now[0] += data.draw(st.sampled_from([0, 60, 40_000, 90_000]))
            day, before, text = ledger.today(), target.bill, texts[which]
            with suppress(CapReached):
                for own in sessions[which].write_on(text, min(length, CONTEXT - len(text))):
                    text.append(own.token)
                    now[0] += between
            days[day] = days.get(day, 0) + target.bill.calls - before.calls
        summary = fake_edge(max_tokens=1).generate("Tom").usage
        for session, account in zip(sessions, accounts, strict=True):
            session.close()
            account.settle(summary, len(PROMPT))
        figures = total(ledger)
        assert untimed(figures.spent) == target.bill
        assert not figures.reserved
        if not between:
            counted = {day: total(ledger, day).spent.calls for day in ledger.days()}
            assert {day: calls for day, calls in days.items() if calls} == {
                day: calls for day, calls in counted.items() if calls
            }
            assert all(calls <= limits.cap_calls for calls in counted.values() if limits.cap_calls)


def test_a_text_writes_no_file_while_its_block_lasts(tmp_path, monkeypatch):
    written: list[Path] = []
    write = ledgers.replace_text
    monkeypatch.setattr(ledgers, "replace_text", lambda path, text: (written.append(path), write(path, text)))
    with fake_edge(ledger=tmp_path, mode="sprint", max_tokens=60) as edge:
        answer = edge.generate("Tom")
    assert 2 <= len(written) <= 2 + answer.usage.calls // BLOCK.calls + answer.usage.tokens // BLOCK.tokens_out
    written.clear()
    with fake_edge(ledger=tmp_path, mode="local", max_tokens=60) as edge:
        edge.generate("Tom")
    assert written == []
