"""Texts whose target goes away in the middle, for as long as the test says, on a clock that costs no time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client import Origin, Provisional, Retract, TargetAway, Token
from edge_client.settings import OnOutage
from edge_client.target.connection import AGAIN
from shared.errors import TargetBusy, TargetRefused
from tests.edge_client.cut import BUNDLE, LED, PROMPT, TOKENS, Ticking, World, on_screen, undisturbed
from tests.shared.grammar.schemas import keeps_to

outages = st.tuples(st.integers(0, 2**32), st.integers(1, 40), st.floats(0.0, 30.0))


@given(outages, st.sampled_from(LED), st.booleans())
def test_what_the_target_leads_is_the_undisturbed_text_after_any_outage(outage, mode, provisional):
    seed, cut_at, seconds = outage
    world = World(mode=mode, seed=seed)
    if provisional:
        assert on_screen(world.events(cut_at, seconds)) == undisturbed(seed=seed)
        completion = world.stream.completion
    else:
        with world.edge.stream(PROMPT) as stream:
            for i, _ in enumerate(stream, 1):
                if i == cut_at:
                    world.cut(seconds)
        completion = stream.completion
    assert completion.token_ids == undisturbed(seed=seed)
    assert completion.usage.alone == 0
    assert len(completion.token_ids) == TOKENS


@given(outages, st.integers(0, 40), st.sampled_from(["sprint", "auto"]))
def test_the_device_goes_on_alone_until_the_target_is_back_and_is_audited(outage, later, mode):
    seed, cut_at, _ = outage
    back_at = cut_at + later
    world = World(mode=mode, seed=seed)
    ids = on_screen(world.events(cut_at, float("inf"), back_at))
    completion = world.stream.completion
    assert completion.token_ids == ids, "none is lost or doubled"
    assert len(ids) == TOKENS
    prompt = BUNDLE.encode(PROMPT)
    for i, origin in enumerate(completion.origins):
        if origin is Origin.ALONE:
            alone = world.edge.generate([*prompt, *ids[:i]], mode="local", seed=seed, max_tokens=1)
            assert alone.token_ids == ids[i : i + 1], "it is what the draft writes there"
    assert completion.usage.alone == completion.origins.count(Origin.ALONE)
    assert completion.usage.audit.known == TOKENS or back_at > TOKENS, "all of it is audited"
    strays = 0
    for i, origin in enumerate(completion.origins):
        if origin in (Origin.ACCEPTED, Origin.ALONE):
            own = World(seed=seed).edge.generate([*prompt, *ids[:i]], mode="cloud", max_tokens=1).token_ids
            strays += own != ids[i : i + 1]
    if back_at <= TOKENS:
        assert completion.usage.audit.off_strict == strays, "and counted, the stretch too"


def test_a_long_outage_lets_the_device_write_and_says_so_once():
    world = World(mode="sprint", seed=3)
    events = list(world.events(10, float("inf"), 40))
    completion = world.stream.completion
    assert completion.usage.alone >= 20
    (gone, away), (_, back) = world.told
    assert away == (
        "the target at Cut is not reached (cut): the text goes on from the draft alone until it answers again"
    )
    assert back == "the target at Cut answers again"
    assert completion.warnings[:2] == [away, back]
    assert completion.usage.reconnects == 1
    assert gone < 3.0
    origins = [event.origin for event in events if isinstance(event, Token)]
    first, last = origins.index(Origin.ALONE), len(origins) - origins[::-1].index(Origin.ALONE)
    assert set(origins[first:last]) == {Origin.ALONE}
    assert last < TOKENS, "the target was asked again"


def test_the_text_goes_on_within_the_grace_of_a_broken_link():
    world = World(mode="sprint", seed=3)
    cut = None
    for event in world.events(10, float("inf")):
        cut = cut or (world.clock.time if world.transport.is_cut else None)
        if isinstance(event, Token) and event.origin is Origin.ALONE:
            break
    assert world.clock.time - cut < 1.0 + 100 * Ticking.TICK
    world.transport.mend()
    world.stream.close()  # else its session stays with a target that other tests look at


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(["sprint", "exact", "cloud", "auto"]))
def test_whoever_waits_has_the_undisturbed_text(seed, cut_at, mode):
    quiet, world = World(mode=mode, seed=seed), World(mode=mode, seed=seed, on_outage="wait")
    list(world.events(cut_at, 30.0))
    if mode != "auto":  # which goes by the clock
        assert world.stream.completion.token_ids == quiet.edge.generate(PROMPT).token_ids
    assert world.stream.completion.usage.alone == 0


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud", "auto"])
def test_whoever_would_rather_fail_does_so_at_once(mode):
    world = World(mode=mode, seed=3, on_outage="fail")
    times = []
    with pytest.raises(TargetAway, match="cannot reach the target"):
        times.extend(world.clock.time for _ in world.events(10, float("inf")))
    assert world.clock.time - times[-1] < 3.0
    assert world.stream.completion.finish_reason == "error"
    assert world.stream.completion.usage.alone == 0


@pytest.mark.parametrize("mode", LED)
def test_what_the_target_leads_becomes_the_drafts_only_where_it_never_returns(mode):
    world = World(mode=mode, seed=3, timeout=20)
    ids = on_screen(world.events(10, float("inf")))
    completion = world.stream.completion
    assert completion.token_ids == ids
    assert len(ids) == TOKENS
    assert 20 <= world.clock.time <= 30
    settled = completion.origins.index(Origin.ALONE)
    assert settled >= 10
    assert set(completion.origins[settled:]) == {Origin.ALONE}
    alone = world.edge.generate(
        [*BUNDLE.encode(PROMPT), *ids[:settled]], mode="local", seed=3, max_tokens=TOKENS - settled
    )
    assert alone.token_ids == ids[settled:]


@pytest.mark.parametrize("mode", LED)
@pytest.mark.parametrize("is_silent", [False, True])
def test_what_the_target_leads_waits_for_it_also_where_others_have_found_it_away(mode, is_silent):
    world = World(mode=mode, seed=3)
    world.edge.connect()
    world.transport.is_silent = is_silent
    with world.edge.stream(PROMPT) as under_way:
        first = next(under_way)
        world.cut(45.0 if is_silent else 20.0)
        assert world.edge.generate(PROMPT, mode="sprint").usage.alone == TOKENS
        late = world.edge.generate(PROMPT)
        assert [first.id, *(token.id for token in under_way)] == undisturbed(seed=3)
    assert late.token_ids == undisturbed(seed=3)
    assert late.usage.alone == under_way.completion.usage.alone == 0


@pytest.mark.parametrize("mode", ["sprint", "exact", "cloud", "auto"])
@pytest.mark.parametrize("seconds", [8.0, float("inf")])
def test_a_text_keeps_to_its_schema_without_its_target_too(mode, seconds):
    schema = {"type": "array", "items": {"type": "string", "maxLength": 4}, "minItems": 4, "maxItems": 5}
    world = World(mode=mode, seed=3, timeout=20, max_tokens=300, json_schema=schema)
    list(world.events(5, seconds))
    completion = world.stream.completion
    assert completion.finish_reason == "end"
    assert keeps_to(completion.text, schema)
    assert (completion.usage.alone > 0) == (mode in ("sprint", "auto") or seconds == float("inf"))


def test_while_the_target_is_away_exact_shows_the_drafts_guess():
    world = World(mode="exact", seed=3)
    provisional = most = 0
    for event in world.events(10, 30.0):
        provisional += isinstance(event, Provisional) - (event.tokens if isinstance(event, Retract) else 0)
        provisional -= isinstance(event, Token) and provisional > 0
        most = max(most, provisional)
    assert most > 40, "as far as the text may reach"


@pytest.mark.parametrize("mode", ["sprint", "auto"])
def test_a_text_whose_target_is_away_from_the_beginning_is_the_drafts(mode):
    world = World(mode=mode, seed=3)
    world.cut()
    completion = world.edge.generate(PROMPT)
    assert completion.token_ids == world.edge.generate(PROMPT, mode="local").token_ids
    assert set(completion.origins) == {Origin.ALONE}
    assert completion.mode == mode
    ((_, sentence),) = world.told
    assert sentence == "the target at Cut is not reached (cut): the draft writes this text alone"
    assert sentence in completion.warnings
    world.transport.mend()
    assert world.edge.generate(PROMPT).usage.alone == 0


def test_a_target_that_refuses_connections_is_given_up_within_the_grace():
    world = World(mode="sprint", seed=3)
    world.cut()
    assert world.edge.generate(PROMPT).usage.alone == TOKENS
    assert world.clock.time < 0.8 + 40 * Ticking.TICK


def test_where_nothing_at_all_comes_back_later_texts_need_not_find_out_by_themselves():
    """Until somebody reaches the target: in the first text, in the middle of one, and between two."""
    world = World(mode="sprint", seed=3)
    world.transport.is_silent = True
    world.cut()
    assert world.edge.generate(PROMPT).usage.alone == TOKENS
    begin = world.clock.slept
    assert world.edge.generate(PROMPT).usage.alone == TOKENS
    assert world.clock.slept == begin
    world.clock.sleep(AGAIN)
    world.transport.mend()
    assert world.edge.generate(PROMPT).usage.alone == 0
    list(world.events(10, float("inf")))
    assert world.stream.completion.usage.alone > 0
    begin = world.clock.slept
    assert world.edge.generate(PROMPT).usage.alone > 0
    assert world.clock.slept - begin < 2.0, "a moment at its beginning, and one for the audit of its tail"
    world.transport.mend()
    assert world.edge.generate(PROMPT).usage.alone == 0
    assert world.edge.generate(PROMPT, mode="exact").usage.alone == 0


@pytest.mark.parametrize(
    ("mode", "on_outage"), [("exact", "local"), ("cloud", "local"), ("sprint", "wait"), ("sprint", "fail")]
)
def test_other_texts_do_not_begin_without_their_target(mode, on_outage):
    world = World(mode=mode, on_outage=on_outage)
    world.cut()
    with pytest.raises(TargetAway):
        world.edge.generate(PROMPT)


def test_a_target_that_is_reached_and_refuses_is_no_outage():
    world = World(mode="sprint")
    world.transport.error = TargetRefused("no")
    world.cut()
    with pytest.raises(TargetRefused):
        world.edge.generate(PROMPT)


def test_a_busy_target_is_waited_for_and_then_left_alone():
    world = World(mode="sprint", seed=3, timeout=20)
    world.transport.error = TargetBusy("full")
    list(world.events(10, 15.0))
    assert world.stream.completion.usage.alone == 0, "it had room in time"
    world = World(mode="sprint", seed=3, timeout=20)
    world.transport.error = TargetBusy("full")
    list(world.events(10, float("inf")))
    completion = world.stream.completion
    assert completion.usage.tokens == TOKENS
    assert completion.usage.alone > 0
    assert (
        "the target at Cut has no room for this text (full): the text goes on from the draft alone"
        in completion.warnings
    )


def test_what_is_written_alone_is_not_what_the_promise_is_about():
    budgets = []
    for back_at in (None, 50):
        world = World(mode="sprint", seed=3, temperature=1.0)
        list(world.events(10, float("inf") if back_at else 0.0, back_at))
        (lesson,) = world.edge._kit.memory()[0].entries.values()
        budgets.append((lesson.counts.shown, world.stream.completion.usage.alone))
    (whole, none), (without, alone) = budgets
    assert (whole, none) == (TOKENS, 0)
    assert without == TOKENS - alone
    assert alone >= 30


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(1, 50), st.floats(0, 4)), max_size=6))
def test_a_link_that_flaps_costs_no_token(seed, cuts):
    world = World(mode="sprint", seed=seed)
    due = dict(cuts)
    with world.edge.stream(PROMPT) as stream:
        for i, _ in enumerate(stream, 1):
            if i in due:
                world.cut(due[i])
    ids = stream.completion.token_ids
    assert len(ids) == TOKENS == len(stream.completion.origins)
    assert np.isfinite([n for n in stream.completion.nll if n is not None]).all()
    assert len(world.transport.service.texts) == 0, "no session is left behind"
    assert world.edge.settings.on_outage == OnOutage.LOCAL
