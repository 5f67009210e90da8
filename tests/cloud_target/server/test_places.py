"""A place in the line for room: kept while its device is away, with room set aside, and given up at last."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace

import pytest

from cloud_target.protocol.requests import Limits, Request, parse_request, parse_terms
from cloud_target.server.lease import Lease
from cloud_target.server.leases import Leases
from cloud_target.server.timeouts import Timeouts
from shared.config import Sampling
from shared.errors import TargetBusy, TargetRefused
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.fake_time import run_in_fake_time
from tests.cloud_target.server.test_leases import CONTEXT, VOCABULARY, make_table, settled, wanted


async def begun(leases: Leases, request: Request) -> AbstractAsyncContextManager[Lease]:
    """A lease, to be given back by whoever asked for it."""
    taken = leases.take(request, CONTEXT)
    await taken.__aenter__()
    return taken


def test_whoever_is_refused_keeps_its_place_and_is_told_when_to_come_again():
    async def test() -> None:
        leases, order = Leases(make_table(1)), []

        async def ask(session: int, times: int = 1) -> None:
            for _ in range(times):
                with suppress(TargetBusy):
                    async with leases.take(wanted(session), CONTEXT):
                        order.append(session)
                        return
                await asyncio.sleep(1.0)

        async with leases.take(wanted(1), CONTEXT):
            first = asyncio.create_task(ask(2, times=4))
            await asyncio.sleep(3)
            others = [asyncio.create_task(ask(session, times=4)) for session in (3, 4)]
            with pytest.raises(TargetBusy, match="place in line is kept") as refused:
                await begun(leases, wanted(5))
            assert refused.value.retry_after == Timeouts().again
            await asyncio.sleep(2.5)
        await asyncio.gather(first, *others)
        assert order == [2, 3, 4]

    run_in_fake_time(test(), 0.0)


@pytest.mark.parametrize("leave", ["refused", "gone"])
def test_room_is_set_aside_for_whoever_is_away_but_not_for_ever(leave):
    async def test() -> None:
        table = make_table(2)
        leases, loop, seconds = Leases(table), asyncio.get_running_loop(), Timeouts()
        one, two = await begun(leases, wanted(1)), await begun(leases, wanted(2))
        waiting = asyncio.create_task(begun(leases, wanted(3)))
        await asyncio.sleep(1)
        if leave == "gone":
            waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        left = loop.time()
        await one.__aexit__(None, None, None)
        large, small = (asyncio.create_task(begun(leases, wanted(n, write_on=w))) for n, w in ((4, CONTEXT), (5, 0)))
        await asyncio.sleep(seconds.place - 0.1)
        assert not large.done()
        assert not small.done()  # there would be room for it, but it came later
        await large
        assert loop.time() == pytest.approx(left + seconds.place)
        await two.__aexit__(None, None, None)
        await small
        table.check_integrity()

    run_in_fake_time(test(), 0.0)


def test_others_go_past_whoever_is_away_where_room_for_it_is_left():
    async def test() -> None:
        leases, loop = Leases(make_table(2)), asyncio.get_running_loop()
        one, _ = await begun(leases, wanted(1)), await begun(leases, wanted(2, write_on=CONTEXT - 20))
        waiting = asyncio.create_task(begun(leases, wanted(3, write_on=CONTEXT - 20)))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        left = loop.time()
        await one.__aexit__(None, None, None)
        await begun(leases, wanted(4, write_on=20))
        assert loop.time() == left
        await begun(leases, wanted(3, write_on=CONTEXT - 20))
        assert loop.time() == left

    run_in_fake_time(test(), 0.0)


def test_a_session_that_is_released_has_no_place_any_more():
    async def test() -> None:
        leases, loop = Leases(make_table(1)), asyncio.get_running_loop()
        one = await begun(leases, wanted(1))
        for while_it_waits in (False, True):
            waiting = asyncio.create_task(begun(leases, wanted(3)))
            await asyncio.sleep(1)
            if while_it_waits:
                leases.release(wanted(3).terms.key)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            leases.release(wanted(3).terms.key)
            before = loop.time()
            await one.__aexit__(None, None, None)
            one = await begun(leases, wanted(4))
            assert loop.time() == before
        await one.__aexit__(None, None, None)
        one = await begun(leases, wanted(1, write_on=CONTEXT - 20))
        large, small = (asyncio.create_task(begun(leases, wanted(n, write_on=w))) for n, w in ((5, CONTEXT), (6, 0)))
        await asyncio.sleep(0.5)
        leases.release(wanted(5).terms.key)
        large.cancel()
        before = loop.time()
        await small
        assert loop.time() == before

    run_in_fake_time(test(), 0.0)


def test_a_request_that_waits_hears_that_another_stream_has_its_session():
    async def test() -> None:
        leases = Leases(make_table(1))
        one = await begun(leases, wanted(1))
        older = asyncio.create_task(begun(leases, wanted(2)))
        await asyncio.sleep(1)
        other = asyncio.create_task(begun(leases, wanted(3)))
        await settled()
        newer = asyncio.create_task(begun(leases, wanted(2)))
        with pytest.raises(TargetRefused, match="another stream"):
            await older
        await one.__aexit__(None, None, None)
        taken = await newer  # in the older one's place
        assert not other.done()
        await taken.__aexit__(None, None, None)
        await other

    run_in_fake_time(test(), 0.0)


def test_a_lease_that_comes_when_nobody_waits_any_more_is_given_back():
    async def test() -> None:
        table = make_table(1)
        leases = Leases(table)
        one = await begun(leases, wanted(1))
        waiting = asyncio.create_task(begun(leases, wanted(2)))
        await asyncio.sleep(1)
        await one.__aexit__(None, None, None)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert table.used == 0
        await begun(leases, wanted(3))

    run_in_fake_time(test(), 0.0)


def test_a_session_that_is_evicted_while_it_waits_hears_so_and_keeps_its_place():
    async def test() -> None:
        table = make_table(1)
        leases = Leases(table)
        async with leases.take(wanted(2, write_on=0), CONTEXT) as lease:
            lease.session.rewrite(0, [1, 2], cached=2)
        one = await begun(leases, wanted(1, write_on=40))
        goes_on = replace(wanted(2, write_on=40), position=2, prefix_hash=lease.session.prefix_hash)
        two, three = (asyncio.create_task(begun(leases, asked)) for asked in (goes_on, wanted(3)))
        await settled()
        table.release(goes_on.terms.key)
        await one.__aexit__(None, None, None)
        evicted = await two  # it is told at its turn
        await evicted.__aexit__(None, None, None)
        again = asyncio.create_task(begun(leases, wanted(2)))
        await settled()
        assert again.done()
        assert not three.done()
        await again.result().__aexit__(None, None, None)
        await three

    run_in_fake_time(test(), 0.0)


def test_what_is_idle_for_moments_only_goes_to_whoever_has_waited():
    """Two sessions are at work in turn, neither needs new room, and never are both idle."""

    async def test() -> None:
        table, stop = make_table(1), asyncio.Event()
        leases = Leases(table)

        async def ask_again_and_again(session: int) -> None:
            text = [session, *[0] * 20]
            message = request(text, 0, Sampling(), judge_from=len(text), session_id=bytes([session]) * 16)
            limits = Limits(VOCABULARY, CONTEXT, CONTEXT)
            asked = parse_request(message, parse_terms(message, limits), limits)
            while not stop.is_set():
                async with leases.take(asked, CONTEXT) as lease:
                    lease.session.rewrite(0, text, cached=len(text))
                    await asyncio.sleep(0.6)
                await asyncio.sleep(0.4)

        both = []
        for session in (1, 2):
            both.append(asyncio.create_task(ask_again_and_again(session)))
            await asyncio.sleep(0.5)
        large = asyncio.create_task(begun(leases, wanted(3)))
        await asyncio.wait_for(asyncio.shield(large), 3)
        stop.set()
        await (await large).__aexit__(None, None, None)
        await asyncio.gather(*both)

    run_in_fake_time(test(), 0.0)


def test_nobody_takes_more_than_it_needs_where_somebody_waits():
    async def test() -> None:
        table = make_table(1)
        leases = Leases(table)
        one = await begun(leases, wanted(1, write_on=20))
        waiting = asyncio.create_task(begun(leases, wanted(2)))
        await settled()
        used = table.used
        async with leases.take(replace(wanted(3), position=9, prefix_hash=1), CONTEXT, more=20):
            assert table.used == used
        await one.__aexit__(None, None, None)
        await waiting

    run_in_fake_time(test(), 0.0)


async def until_unwanted(leases: Leases, asked: Request) -> None:
    async with leases.take(asked, CONTEXT) as lease:
        while not lease.unwanted:
            await asyncio.sleep(0.01)


def test_a_tenant_asks_for_one_text_at_a_time_however_many_wait():
    async def test() -> None:
        leases, seconds = Leases(make_table(8)), Timeouts()
        crowd = [asyncio.create_task(until_unwanted(leases, wanted(n, "crowd", write_on=14))) for n in range(32)]
        lone = []
        for number in range(5):
            await asyncio.sleep(seconds.fair / 5)
            lone.append(asyncio.create_task(begun(leases, wanted(40 + number, "lone"))))
        await asyncio.sleep(seconds.fair)
        assert sum(task.done() for task in crowd) == 1
        for task in (*crowd, *lone):
            task.cancel()

    run_in_fake_time(test(), 0.0)


def test_a_place_that_was_kept_has_waited_before():
    async def test() -> None:
        leases, seconds = Leases(make_table(1), Timeouts(patience=0.8)), Timeouts()
        crowd = asyncio.create_task(until_unwanted(leases, wanted(1, "crowd")))
        await settled()
        with pytest.raises(TargetBusy):
            await begun(leases, wanted(2, "lone"))
        await asyncio.sleep(seconds.again)
        await asyncio.wait_for(begun(leases, wanted(2, "lone")), 0.1)
        await crowd

    run_in_fake_time(test(), 0.0)


def test_a_reader_falls_behind_answer_by_answer_and_can_catch_up():
    async def test() -> None:
        async with Leases(make_table(1)).take(wanted(1), CONTEXT) as lease:
            clock, pace = asyncio.get_running_loop(), Timeouts().pace
            for _ in range(3):
                await lease.write(asyncio.sleep(pace + 0.5))
            assert lease.behind(clock.time()) == pytest.approx(1.5)
            await asyncio.sleep(9)  # the target takes its time
            assert lease.behind(clock.time()) == pytest.approx(1.5)
            await lease.write(asyncio.sleep(0))
            assert lease.behind(clock.time()) == pytest.approx(1.5 - pace)
            for _ in range(20):
                await lease.write(asyncio.sleep(0))
            assert lease.behind(clock.time()) == 0.0

    run_in_fake_time(test(), 0.0)


def test_of_slow_readers_no_more_give_way_than_must():
    async def test() -> None:
        leases, seconds = Leases(make_table(3)), Timeouts()
        sizes = {1: CONTEXT, 2: 40, 3: 16}
        taken = {n: leases.take(wanted(n, write_on=size - 2), CONTEXT) for n, size in sizes.items()}
        at_work = {n: await one.__aenter__() for n, one in taken.items()}
        reading = [asyncio.create_task(at_work[n].write(asyncio.sleep(9))) for n in (1, 2)]
        await asyncio.sleep(seconds.behind + seconds.pace + 0.1)
        waiting = asyncio.create_task(begun(leases, wanted(4, write_on=CONTEXT)))
        third = asyncio.create_task(begun(leases, wanted(5, write_on=CONTEXT)))
        await waiting  # for which there was room
        await asyncio.sleep(seconds.fair + 0.1)
        assert [at_work[n].unwanted for n in (1, 2, 3)] == [True, False, False]
        await reading[0]
        with pytest.raises(TargetBusy, match="read too slowly"):
            at_work[1].check()
        for task in (*reading, third):
            task.cancel()

    run_in_fake_time(test(), 0.0)
