"""What an edge lets its texts spend: caps before a text and in it, a ledger that cannot be kept, and costs."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest

from edge_client.decoding.text import Origin
from edge_client.edge import Edge
from edge_client.stream import CostWarning
from edge_client.testing import LoopbackTransport, LossyTransport, ManualClock, Trouble, scripted_edge
from edge_client.usage.amount import Amount
from edge_client.usage.caps import Caps
from edge_client.usage.ledger import Ledger
from edge_client.usage.prices import Prices
from edge_client.usage.spending import LONGEST_NAME
from shared.config import Mode
from shared.errors import CapReached, InputError, TargetUnavailable
from tests.edge_client.scripted_device import fake_bundle, fake_cloud, fake_edge
from tests.edge_client.usage.billing import Billing, is_just, total, untimed

MODES = ("sprint", "exact", "cloud", "auto")
EUR = Prices(price_in=1, price_out=2, currency="EUR")


def page_of(state: Path) -> Path:
    (path,) = (state / "usage").glob("*.json")
    return path


class Unreachable(LoopbackTransport):
    """Nobody may ask this one anything."""

    def describe(self, timeout: float):
        raise AssertionError("a target was asked")


@pytest.mark.parametrize("mode", MODES)
def test_once_a_cap_is_reached_texts_are_written_alone_and_say_so(mode, tmp_path):
    options = {"ledger": tmp_path, "caps": Caps(cap_calls=40), "max_tokens": 100}
    target = Billing(fake_cloud())
    with fake_edge(LoopbackTransport(target), **options) as edge, pytest.raises(CapReached):
        edge.generate("Tom", mode="cloud", on_outage="fail")
    assert target.bill.calls == 40
    with fake_edge(Unreachable(fake_cloud()), **options) as edge:
        done = edge.generate("Tom", mode=mode)
        with pytest.raises(CapReached, match="the cap of 40 calls a day is reached") as refused:
            edge.generate("Tom", mode=mode, on_outage="wait")
        assert refused.value.options == ("cap_calls",)
        assert edge.generate("Tom", mode="local").warnings == []
    assert (done.usage.alone, done.usage.tokens, done.usage.calls, done.cost) == (100, 100, 0, None)
    (warning,) = (warning for warning in done.warnings if isinstance(warning, CostWarning))
    assert warning.endswith("before tomorrow: the draft writes this text alone; raise the cap to go on")
    with fake_edge(LoopbackTransport(target), ledger=tmp_path, max_tokens=5, mode="cloud") as edge:
        assert edge.generate("Tom").mode is Mode.CLOUD  # without a cap
    assert target.bill.calls == 45


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("caps", [Caps(cap_calls=12), Caps(cap_tokens=30), Caps(cap_money=50e-6)])
def test_a_cap_in_the_middle_of_a_text_ends_what_is_sent(mode, caps, fails, tmp_path):
    target = Billing(fake_cloud())
    with fake_edge(LoopbackTransport(target), ledger=tmp_path, caps=caps, prices=EUR, max_tokens=200) as edge:
        stream = edge.stream("Tom", mode=mode, on_outage="wait" if fails else "local")
        with pytest.raises(CapReached, match=r"the cap of .* a day is reached") if fails else nullcontext():
            for _ in stream:
                pass
        done = stream.completion
    if fails:
        assert (done.finish_reason, bool(done.token_ids)) == ("error", True)
    else:
        assert (done.finish_reason, done.usage.tokens) == ("length", 200)
        begin = done.origins.index(Origin.ALONE)
        assert begin > 0
        assert set(done.origins[begin:]) == {Origin.ALONE}
        assert any("a day is reached" in warning for warning in done.warnings)
    figures = total(Ledger.at(tmp_path))
    assert untimed(figures.spent) == target.bill
    assert not figures.reserved
    spent = {"cap_calls": target.bill.calls, "cap_tokens": target.bill.tokens, "cap_money": EUR.money(target.bill)}
    ((name, cap),) = ((name, cap) for name, cap in vars(caps).items() if cap is not None)
    assert 0.6 * cap <= spent[name] <= cap


def test_caps_are_for_all_targets_and_programs_of_a_day(tmp_path):
    one, two = Billing(fake_cloud()), Billing(fake_cloud())
    options = {"ledger": tmp_path, "caps": Caps(cap_tokens=60), "mode": "cloud", "max_tokens": 40}
    with fake_edge(LoopbackTransport(one), **options) as edge:
        edge.generate("Tom")
    with fake_edge(LoopbackTransport(two), **options) as edge:
        assert edge.generate("Tom").usage.tokens == 40
    assert one.bill.tokens + two.bill.tokens == 60
    assert two.bill.tokens > 0


def test_what_texts_under_way_hold_is_nobody_elses(tmp_path):
    caps = Caps(cap_calls=50)
    with fake_edge(ledger=tmp_path, caps=caps, mode="cloud", max_tokens=200) as edge:
        with edge.stream("Tom") as first:
            next(first)
            with pytest.raises(CapReached):
                edge.generate("Tom", on_outage="fail")
        assert total(Ledger.at(tmp_path)).spent.calls >= 1


@pytest.mark.parametrize("ledger", ["unwritable", "damaged", "set aside", "homeless"])
def test_a_ledger_that_cannot_be_kept_stops_no_text_but_where_there_is_a_cap(ledger, tmp_path, monkeypatch):
    state = tmp_path / "state"
    if ledger == "unwritable":
        (tmp_path / "state").write_text("in the way")
    elif ledger == "homeless":
        for name in ("TANDEM_STATE", "XDG_STATE_HOME"):
            monkeypatch.delenv(name, raising=False)

        def homeless() -> Path:
            raise RuntimeError

        monkeypatch.setattr(Path, "home", homeless)
        state = True
    else:
        (state / "usage").mkdir(parents=True)
        name = date.today().isoformat()
        (state / "usage" / f"{name}.{'json' if ledger == 'damaged' else 'damaged'}").write_text("{")
    with fake_edge(Unreachable(fake_cloud()), ledger=state, caps=Caps(cap_calls=9_999), max_tokens=20) as edge:
        done = edge.generate("Tom", mode="exact")
        assert (done.usage.alone, done.usage.calls) == (done.usage.tokens, 0)
        (warning,) = (warning for warning in done.warnings if isinstance(warning, CostWarning))
        assert "cannot be counted" in warning
        assert "there is a cap, so nothing is sent to the target: the draft writes this text alone" in warning
        with pytest.raises(CapReached, match="cannot be counted"):
            edge.generate("Tom", mode="exact", on_outage="fail")
    with fake_edge(ledger=state, max_tokens=20, mode="exact") as edge:
        done = edge.generate("Tom")
    assert (done.mode, done.usage.tokens, done.usage.calls > 0) == (Mode.EXACT, 20, True)
    said = [warning for warning in done.warnings if isinstance(warning, CostWarning)]
    expected = {"unwritable": "cannot be written down", "damaged": "set aside as *.damaged, and the day begins anew"}
    assert all(expected[ledger] in warning for warning in said)
    assert len(said) == (ledger in expected)


def test_a_ledger_that_fails_in_the_middle_is_said_and_keeps_what_was_reserved(tmp_path):
    target = Billing(fake_cloud())
    with (
        fake_edge(LoopbackTransport(target), ledger=tmp_path, mode="cloud", max_tokens=20) as edge,
        edge.stream("Tom") as stream,
    ):
        next(stream)
        page = page_of(tmp_path)
        before = page.read_text()
        page.parent.rename(tmp_path / "elsewhere")
        page.parent.write_text("in the way")
        done = stream.finish()
        page.parent.unlink()
        (tmp_path / "elsewhere").rename(page.parent)
    (said,) = done.warnings
    assert "the ledger keeps what was reserved for it instead, which is more" in said
    assert page.read_text() == before
    assert is_just(total(Ledger.at(tmp_path)), target.bill)


def test_what_was_never_answered_is_in_doubt_and_what_was_never_sent_is_not(tmp_path):
    plan = [Trouble.NONE, Trouble.LOST_ANSWER, Trouble.LOST_REQUEST]
    target, clock = Billing(fake_cloud()), ManualClock()
    with fake_edge(LossyTransport(target, plan, clock), ledger=tmp_path, clock=clock, mode="cloud") as edge:
        done = edge.generate("Tom", max_tokens=10)
    figures = total(Ledger.at(tmp_path))
    assert is_just(figures, target.bill)
    assert figures.spent.calls == 10
    assert done.cost.figures.reserved == figures.reserved
    assert figures.reserved.tokens_out == 20  # of the first two requests, one of which was never sent
    assert done.cost.as_dict()["unknown_calls"] == 20


def test_a_target_that_has_no_room_did_nothing(tmp_path):
    plan = [Trouble.NONE, Trouble.BUSY, Trouble.NONE, Trouble.BUSY]
    target, clock = Billing(fake_cloud()), ManualClock()
    with fake_edge(LossyTransport(target, plan, clock), ledger=tmp_path, clock=clock, mode="cloud") as edge:
        edge.generate("Tom", max_tokens=10)
    figures = total(Ledger.at(tmp_path))
    assert (untimed(figures.spent), figures.reserved) == (target.bill, Amount())


def test_the_cost_of_a_text_is_in_its_completion(tmp_path):
    with fake_edge(ledger=tmp_path, prices=EUR, mode="sprint", budget=0.05, max_tokens=60) as edge:
        done = edge.generate("Tom")
    cost = done.cost
    assert cost.money == EUR.money(cost.figures.spent) > 0
    assert cost.streamed == pytest.approx((done.prompt_tokens * 1 + 60 * 2) / 1e6)
    assert done.as_dict()["cost"]["money"] == cost.money
    assert str(cost) == f"{cost.money:.6f} EUR, streamed {cost.streamed:.6f} EUR"
    (payee,) = Ledger.at(tmp_path).page(Ledger().today())
    assert (payee.address, payee.fingerprint, payee.prices) == ("LoopbackTransport", "scripted", EUR)


def test_where_the_ledger_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    text = {"prompt": "Tom", "mode": "exact"}
    for place, kept in (
        ({"memory": False}, None),
        ({"memory": False, "ledger": False}, None),
        ({"memory": False, "ledger": False, "caps": Caps(cap_calls=99)}, None),
        ({"memory": tmp_path / "memory"}, tmp_path / "memory"),
        ({"memory": tmp_path / "memory", "ledger": str(tmp_path / "ledger")}, tmp_path / "ledger"),
        ({"memory": False, "caps": Caps(cap_calls=99)}, tmp_path / "state"),
        ({"memory": False, "ledger": True}, tmp_path / "state"),
    ):
        before = {path: path.read_text() for path in tmp_path.rglob("*.json")}
        with fake_edge(max_tokens=5, **place) as edge:
            edge.generate(**text)
        after = {path: path.read_text() for path in tmp_path.rglob("*.json")}
        changed = {path.parent.parent for path, found in after.items() if before.get(path) != found}
        assert changed == ({kept} if kept else set())


def test_a_cap_holds_in_one_edge_that_keeps_no_ledger():
    with fake_edge(ledger=False, caps=Caps(cap_calls=30), mode="cloud", max_tokens=20) as edge:
        assert edge.generate("Tom").mode is Mode.CLOUD
        edge.generate("Tom")
        assert edge.generate("Tom").usage.calls == 0


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(InputError, match="a cap on money needs a price") as refused:
        Edge(caps=Caps(cap_money=1.0))
    assert "price_out" in refused.value.options
    with pytest.raises(InputError, match=r"prices must be of edge_client.Prices"):
        Edge(prices={"price_in": 1})


def test_the_environment_caps_every_program(monkeypatch):
    monkeypatch.setenv("TANDEM_CAP_CALLS", "0")
    with scripted_edge(max_tokens=5, mode="exact", ledger=False) as edge:
        assert edge.generate("Once").usage.calls == 0
    with scripted_edge(max_tokens=5, mode="exact", ledger=False, caps=Caps()) as edge:
        assert edge.generate("Once").mode is Mode.EXACT


def test_a_target_may_call_itself_what_it_likes(tmp_path):
    target = fake_cloud()
    described = target.describe()
    described.name = "x" * 100_000
    target.describe = lambda: described
    with Edge(transport=LoopbackTransport(target), bundle=fake_bundle(), memory=False, ledger=tmp_path) as edge:
        edge.generate("Tom", mode="cloud", max_tokens=3)
    (payee,) = Ledger.at(tmp_path).page(Ledger().today())
    assert payee.name == "x" * LONGEST_NAME


def test_seconds_have_a_price_too(tmp_path):
    """What they will be nobody knows: a cap is passed by no more than the calls under way take longer than foreseen."""
    target, calls = fake_cloud(), []
    prices = Prices(price_second=1.0)
    transport = _Slow(target, 1.0, calls)
    options = {"ledger": tmp_path, "prices": prices, "caps": Caps(cap_money=20.0), "mode": "cloud"}
    with fake_edge(transport, **options) as edge:
        edge.generate("Tom", max_tokens=200)
    spent = prices.money(total(Ledger.at(tmp_path)).spent)
    assert 15.0 <= spent <= 21.0
    assert len(calls) == spent


class _Slow(LoopbackTransport):
    """A target every pass of which takes so many seconds, as it says, and that has said so from the beginning."""

    def __init__(self, service, seconds: float, calls: list[float]) -> None:
        super().__init__(service)
        self._seconds, self._calls = seconds, calls

    def describe(self, timeout: float):
        described = super().describe(timeout)
        described.step_us = round(1e6 * self._seconds)
        return described

    def open(self):
        link, receive = super().open(), None
        receive = link.receive

        def slow(timeout: float):
            answer = receive(timeout)
            kind = answer.WhichOneof("answer")
            if kind == "verdict" or (kind == "continuation" and answer.continuation.tokens):
                getattr(answer, kind).timing.forward_us = round(1e6 * self._seconds)
                self._calls.append(self._seconds)
            return answer

        link.receive = slow
        return link


def test_an_error_of_a_cap_is_that_of_a_target_that_is_not_there():
    assert issubclass(CapReached, TargetUnavailable)
