"""Prices and caps: what they are made of, what they refuse, and where the environment says them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps, Room
from edge_client.usage.cost import Cost
from edge_client.usage.daybook import Figures
from edge_client.usage.prices import Prices, shown
from shared.errors import InputError

amounts = st.builds(Amount, *[st.integers(0, 10**9)] * 4)


def test_each_unit_has_its_price():
    prices = Prices(price_in=2, price_out=8, price_call=0.5, price_second=3, currency="EUR")
    assert prices.money(Amount(tokens_in=1_000_000)) == 2
    assert prices.money(Amount(tokens_out=500_000)) == 4
    assert prices.money(Amount(calls=3)) == 1.5
    assert prices.money(Amount(microseconds=2_000_000)) == 6
    assert not Prices(currency="EUR")
    assert Cost(Prices(), Figures(spent=Amount(5))).money is None


@given(amounts, amounts)
def test_prices_add_up(one, other):
    prices = Prices(price_in=0.15, price_out=0.6, price_call=0.001, price_second=0.0002)
    assert prices.money(one) + prices.money(other) == pytest.approx(prices.money(one + other))
    assert (one + other) - other == one
    assert (one + other).covers(one)
    assert one.covers(one + other) is (other == Amount())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"price_in": -1}, "price_in must be 0 or more, not -1"),
        ({"price_call": float("nan")}, "price_call must be a finite number"),
        ({"price_out": "3"}, "price_out must be a number, not '3'"),
        ({"currency": "\x1b[2J"}, "currency must be a word"),
        ({"currency": "x" * 13}, "currency must be a word"),
    ],
)
def test_prices_that_are_none_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        Prices(**options)
    assert refused.value.options == tuple(options)


def test_caps_that_are_none_are_refused():
    for options in ({"cap_calls": -1}, {"cap_tokens": 1.5}, {"cap_money": float("inf")}):
        with pytest.raises(InputError) as refused:
            Caps(**options)
        assert refused.value.options == tuple(options)
    assert not Caps()
    assert Caps(cap_calls=0)


def test_the_environment_says_what_nobody_else_does(monkeypatch):
    for name, value in (
        ("PRICE_IN", "2.5"),
        ("CURRENCY", "EUR"),
        ("CAP_CALLS", "7"),
        ("CAP_MONEY", "1"),
        ("CAP_TOKENS", ""),
    ):
        monkeypatch.setenv(f"TANDEM_{name}", value)
    assert Prices.given(price_out=3, price_in=None) == Prices(price_in=2.5, price_out=3, currency="EUR")
    assert Prices.given(price_in=0.0) == Prices(currency="EUR")
    assert Caps.given(cap_money=4.0) == Caps(cap_money=4.0, cap_calls=7)
    monkeypatch.setenv("TANDEM_CAP_CALLS", "7.5")
    with pytest.raises(InputError, match=r"TANDEM_CAP_CALLS in the environment must be a whole number, not '7.5'"):
        Caps.given()


@given(amounts, amounts, st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 2000))
def test_what_fits_is_within_every_cap(spent, more, calls, tokens, money):
    prices = Prices(price_in=1, price_out=1)
    room = Room(Caps(cap_calls=calls, cap_tokens=tokens, cap_money=money), prices, spent, prices.money(spent))
    after = spent + more
    within = after.calls <= calls, after.tokens <= tokens, room.money + prices.money(more) <= money
    assert room.fits(more) is all(within)
    if not all(within):
        (name,) = room.refusal(more).options
        assert not dict(zip(("cap_calls", "cap_tokens", "cap_money"), within, strict=True))[name]


def test_money_has_as_many_digits_as_it_takes():
    found = [shown(money, "EUR") for money in (0, 1234.5678, 2, 0.0345678, 0.00012)]
    assert found == ["0.00 EUR", "1234.57 EUR", "2.0000 EUR", "0.0346 EUR", "0.000120 EUR"]
    assert shown(0.5, "") == "0.5000"
