"""Work on grammars goes by turns of tenants: whoever brings much of it keeps nobody else's waiting."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.server.masking import Masking

THREADS = 2
PATIENCE = 20.0
Name = tuple[str, int]  # of a piece of work: the tenant, and the how many-eth of it


class Workshop:
    """Work that ends when a test says so, and what is known of it.

    Attributes:
        begun: in the order in which the threads took it.
        callers: of all that was handed in.
    """

    def __init__(self) -> None:
        self.masking, self.begun = Masking(), list[Name]()
        self.callers: dict[Name, asyncio.Task[None]] = {}
        self._gates: dict[Name, threading.Event] = {}
        self._counts: Counter[str] = Counter()

    def hand_in(self, tenant: str, error: Exception | None = None) -> Name:
        name = tenant, self._counts[tenant]
        self._counts[tenant] += 1
        gate = self._gates[name] = threading.Event()

        def work() -> None:
            self.begun.append(name)
            assert gate.wait(PATIENCE)
            if error is not None:
                raise error

        self.callers[name] = asyncio.ensure_future(self.masking.submit(tenant, work))
        return name

    def finish(self, name: Name) -> None:
        self._gates[name].set()

    async def has_begun(self, names: int) -> None:
        """Wait until so many have; there are never more than may be."""
        while len(self.begun) < names:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(self.begun) == names

    def end(self) -> None:
        for gate in self._gates.values():
            gate.set()
        self.masking.close()


def run(test: Callable[[Workshop], Awaitable[None]]) -> None:
    async def whole() -> None:
        workshop = Workshop()
        try:
            await asyncio.wait_for(test(workshop), PATIENCE)
        finally:
            workshop.end()

    asyncio.run(whole())


happenings = st.lists(
    st.tuples(st.sampled_from(["come", "come", "come", "finish", "leave"]), st.sampled_from("abc"), st.integers(0, 20)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(happenings)
def test_tenants_take_turns(happenings):
    """However pieces come, end and are given up, a tenant that waits sees at most one piece of each other begin before
    its own next one; its own begin in order; both threads are busy while anything waits; and what was given up does
    not begin."""

    async def test(workshop: Workshop) -> None:
        waiting: list[Name] = []  # in order of arrival
        running: list[Name] = []
        seen: dict[str, Counter[str]] = {}  # by tenant that waits: what others began since it does, or since its last
        settled = 0  # so many of those begun

        async def settle() -> None:
            """Take note of what has begun by now."""
            nonlocal settled
            await workshop.has_begun(settled + min(THREADS - len(running), len(waiting)))
            for name in workshop.begun[settled:]:
                tenant = name[0]
                assert name == next(other for other in waiting if other[0] == tenant)
                waiting.remove(name)
                running.append(name)
                for other in {tenant for tenant, _ in waiting} - {tenant}:
                    seen[other][tenant] += 1
                    assert seen[other][tenant] <= 1, f"{tenant} began twice while {other} waits"
                seen[tenant] = Counter()
            settled = len(workshop.begun)

        for what, tenant, which in happenings:
            if what == "come":
                if tenant not in {other for other, _ in waiting}:
                    seen[tenant] = Counter()
                waiting.append(workshop.hand_in(tenant))
                await asyncio.sleep(0)
                await settle()
            elif what == "finish" and running:
                name = running.pop(which % len(running))
                workshop.finish(name)
                await workshop.callers[name]
                await settle()
            elif what == "leave" and waiting:
                name = waiting.pop(which % len(waiting))
                workshop.callers[name].cancel()
                if which % 2:  # also before its caller has come to know
                    await asyncio.sleep(0)
        while running:
            name = running.pop(0)
            workshop.finish(name)
            await workshop.callers[name]
            await settle()
        assert not waiting
        left = {name for name, caller in workshop.callers.items() if caller.cancelled()}
        assert {*workshop.begun, *left} == workshop.callers.keys()
        assert not left.intersection(workshop.begun)

    run(test)


@pytest.mark.parametrize("others", [0, 1, 3])
def test_a_newcomer_waits_for_what_runs_and_one_of_each_other(others):
    async def test(workshop: Workshop) -> None:
        tenants = ["greedy", *(f"other {number}" for number in range(others))]
        for tenant in tenants:
            for _ in range(60):
                workshop.hand_in(tenant)
        await workshop.has_begun(THREADS)
        newcomer = workshop.hand_in("newcomer")
        for done in range(THREADS + len(tenants)):
            if newcomer in workshop.begun:
                break
            workshop.finish(workshop.begun[done])
            await workshop.has_begun(THREADS + done + 1)
        assert newcomer in workshop.begun

    run(test)


def test_the_callers_hear_what_went_wrong_and_the_thread_goes_on():
    async def test(workshop: Workshop) -> None:
        for _ in range(2 * THREADS):
            name = workshop.hand_in("a", ValueError("no such grammar"))
            workshop.finish(name)
            with pytest.raises(ValueError, match="no such grammar"):
                await workshop.callers[name]
        good = workshop.hand_in("a")
        workshop.finish(good)
        await workshop.callers[good]

    run(test)


def test_a_caller_that_leaves_work_under_way_frees_no_thread_before_that_ends():
    async def test(workshop: Workshop) -> None:
        held = [workshop.hand_in("a") for _ in range(THREADS)]
        later = workshop.hand_in("b")
        await workshop.has_begun(THREADS)
        for name in held:
            workshop.callers[name].cancel()
        await asyncio.wait([workshop.callers[name] for name in held])
        await workshop.has_begun(THREADS)
        workshop.finish(held[0])
        workshop.finish(later)
        await workshop.callers[later]

    run(test)


@pytest.mark.parametrize("turns", range(6))
def test_no_word_of_a_grammar_is_logged_whenever_its_caller_leaves(turns, caplog):
    """asyncio logs an error that nobody asks for: so many turns of the loop after the work failed, too."""

    async def test(workshop: Workshop) -> None:
        name = workshop.hand_in("a", ValueError("secret words"))
        await workshop.has_begun(1)
        workshop.finish(name)
        time.sleep(0.02)  # it fails meanwhile, and the loop knows nothing of that yet
        for _ in range(turns):
            await asyncio.sleep(0)
        caller = workshop.callers.pop(name)
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled() or "secret words" in str(caller.exception())
        await workshop.masking.submit("b", lambda: None)

    run(test)
    gc.collect()
    assert "secret words" not in caplog.text


@pytest.mark.parametrize("turns", range(6))
def test_a_caller_that_leaves_when_its_turn_comes_leaves_that_to_its_tenant(turns):
    """A thread is free, and the loop about to know it, when the first in line leaves, so many turns later."""

    async def test(workshop: Workshop) -> None:
        held = [workshop.hand_in("held") for _ in range(THREADS)]
        first, second, other = (workshop.hand_in(tenant) for tenant in "aab")
        await workshop.has_begun(THREADS)
        workshop.finish(held[0])
        time.sleep(0.02)
        for _ in range(turns):
            await asyncio.sleep(0)
        workshop.callers[first].cancel()
        await workshop.has_begun(THREADS + 1)
        # The loop needs two turns to give the thread away.
        assert workshop.begun[-1] == second or (turns > 1 and workshop.begun[-1] == first)
        for name in (held[1], first, second, other):
            workshop.finish(name)
        await workshop.callers[other]

    run(test)


def test_what_was_given_up_is_forgotten_though_no_thread_is_free():
    class Words:
        def __call__(self) -> None:
            raise AssertionError("nobody waits for this")

    async def test(workshop: Workshop) -> None:
        for _ in range(THREADS):
            workshop.hand_in("a")
        await workshop.has_begun(THREADS)
        work = Words()
        forgotten = weakref.ref(work)
        caller = asyncio.ensure_future(workshop.masking.submit("a", work))
        del work
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        del caller
        gc.collect()
        assert forgotten() is None

    run(test)


def test_closing_ends_the_waiting_and_no_more_is_taken():
    async def test(workshop: Workshop) -> None:
        held = [workshop.hand_in("a") for _ in range(THREADS)]
        waiting = [workshop.hand_in(tenant) for tenant in "aab"]
        await workshop.has_begun(THREADS)
        workshop.masking.close()
        await asyncio.wait([workshop.callers[name] for name in waiting])
        assert all(workshop.callers[name].cancelled() for name in waiting)
        for name in held:
            workshop.finish(name)
            await workshop.callers[name]
        assert workshop.begun == held
        with pytest.raises(RuntimeError, match="after shutdown"):
            await workshop.masking.submit("a", lambda: None)

    run(test)
