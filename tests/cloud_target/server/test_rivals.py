"""Several streams that want one session: the newest goes on, and each older one hears so at once, wherever it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud_target.server.lease import TAKEN_OVER
from cloud_target.server.leases import Leases
from cloud_target.server.timeouts import Timeouts
from shared.errors import TargetRefused
from tests.cloud_target.server.fake_time import run_in_fake_time
from tests.cloud_target.server.test_leases import CONTEXT, make_table, wanted

# Seconds between two looks of whoever is at work; all spans are whole quarters of it, so that much falls together.
STEP = 0.25
# The session that all want, and who has the room at first.
CONTESTED, FILLER = 1, 99


@dataclass
class Stream:
    """Asks for the room of one whole text.

    Attributes:
        after: turns of the event loop since the one before came, or seconds; nothing of either is "in the same turn".
        steps: that it is at work.
        leaves: seconds after which its edge is gone; None for one that stays.
        came, began, ended: as which event of the test; what has not happened is None.
        seconds: when it came and when it ended.
        outcome: "served", "gone", or the sentence that it heard.
    """

    session: int
    after: int | float
    steps: int
    leaves: float | None = None
    came: int | None = None
    began: int | None = None
    ended: int | None = None
    seconds: tuple[float, float] = (0.0, 0.0)
    outcome: str = ""

    async def run(self, leases: Leases, events: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        self.came, since = next(events), loop.time()
        try:
            async with asyncio.timeout(self.leaves), leases.take(wanted(self.session), CONTEXT) as lease:
                self.began = next(events)
                for _ in range(self.steps):
                    await asyncio.sleep(STEP)
                    lease.check()
            self.outcome = "served"
        except TimeoutError:
            self.outcome = "gone"
        except TargetRefused as error:
            self.outcome = str(error)
        finally:
            self.ended = next(events)
            self.seconds = since, loop.time()


async def pause(after: int | float) -> None:
    if isinstance(after, float):
        await asyncio.sleep(after)
    else:
        for _ in range(after):
            await asyncio.sleep(0)


async def meet(streams: list[Stream], filler: Stream | None) -> None:
    """Let them come one after the other, and see at the end that nothing of them is left."""
    table, events, wrong, tasks = make_table(1), count(), [], []
    leases = Leases(table, Timeouts(patience=60.0))  # whoever waits so long was forgotten

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        wrong.append(context)

    asyncio.get_running_loop().set_exception_handler(note)
    for one in ([filler] if filler else []) + streams:
        await pause(one.after)
        tasks.append(asyncio.create_task(one.run(leases, events)))
        leases._line.check_integrity()
    await asyncio.gather(*tasks)
    await asyncio.sleep(4.0)  # no place is kept for so long
    last = Stream(50, 0, 1)
    await last.run(leases, events)
    assert last.outcome == "served"
    assert last.seconds[1] - last.seconds[0] == STEP
    assert (len(leases._line), leases._working, leases._newest, wrong) == (0, {}, {}, [])
    table.check_integrity()


AFTER = st.one_of(st.integers(0, 4), st.sampled_from([STEP / 4, STEP, 2 * STEP]))
LEAVES = st.sampled_from([None, None, None, 0.0, STEP / 4, STEP, 3 * STEP])
RIVALS = st.lists(st.builds(Stream, st.just(CONTESTED), AFTER, st.integers(1, 4), LEAVES), min_size=2, max_size=4)
OTHERS = st.lists(st.tuples(st.integers(0, 4), AFTER), max_size=3)


def in_order(rivals: list[Stream], others: list[tuple[int, float]]) -> list[Stream]:
    """Others among them: each is told before which one it comes."""
    found = list(rivals)
    for number, (where, after) in enumerate(others):
        found.insert(where, Stream(10 + number, after, 1))
    return found


@pytest.mark.parametrize("filled", [0, 1, 6])
@given(RIVALS, OTHERS)
@example([Stream(CONTESTED, STEP / 4, 4) for _ in range(4)], [(1, STEP / 4)])
@example([Stream(CONTESTED, 1, 4) for _ in range(4)], [])
def test_the_newest_goes_on_and_every_older_one_hears_so(filled, rivals, others):
    """For `filled` looks somebody else has the room first, so that they wait in the line; else the first is at work."""
    streams = [replace(one) for one in in_order(rivals, others)]
    rivals = [one for one in streams if one.session == CONTESTED]
    run_in_fake_time(meet(streams, Stream(FILLER, 0, filled) if filled else None), 0.0)
    for older, newer in pairwise(rivals):
        if older.ended > newer.came:
            assert older.outcome == TAKEN_OVER or (older.outcome == "gone" and older.leaves is not None)
            assert older.seconds[1] - newer.seconds[0] <= (0.0 if older.began is None else STEP)
    for one in streams:
        if one.session != CONTESTED or one is rivals[-1]:
            assert one.outcome == "served" or (one.outcome == "gone" and one.leaves is not None)


@given(RIVALS, OTHERS)
def test_the_place_in_the_line_is_kept(rivals, others):
    """All come while somebody else has the room: it is the session's turn as if its first stream had stayed."""
    streams = [replace(one, leaves=None) for one in in_order(rivals, others)]
    run_in_fake_time(meet(streams, Stream(FILLER, 0, 16)), 0.0)
    served = [one for one in streams if one.outcome == "served"]
    assert len(served) == 1 + len(others)
    came = list(dict.fromkeys(one.session for one in streams))
    assert [one.session for one in sorted(served, key=lambda one: one.began)] == came
