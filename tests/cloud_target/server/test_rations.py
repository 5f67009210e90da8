"""What each connection may have at once: so many together, and one every so often."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cloud_target.server.rations import Rations
from tests.cloud_target.server.fake_time import run_in_fake_time


@given(
    st.integers(1, 4), st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.25, 0.5, 2.0])), max_size=40)
)
def test_each_has_its_ration_whatever_others_take(together, steps):
    """A bucket each, which is full at first, and gets one more each second."""

    async def main() -> None:
        rations, loop = Rations(together, pace=1.0), asyncio.get_running_loop()
        left, at = {"a": float(together), "b": float(together)}, 0.0
        for peer, seconds in steps:
            await asyncio.sleep(seconds)
            left = {who: min(together, has + loop.time() - at) for who, has in left.items()}
            at = loop.time()
            assert rations.take(peer) == (left[peer] >= 1)
            left[peer] -= left[peer] >= 1

    run_in_fake_time(main(), work=0.0)


def test_nothing_is_kept_of_who_has_all_of_it():
    async def main() -> None:
        rations = Rations(2, pace=1.0)
        for number in range(1000):
            assert rations.take(f"{number}")
            await asyncio.sleep(0.1)
        assert len(rations._full) <= 12

    run_in_fake_time(main(), work=0.0)
