"""What a tenant may have: counted exactly, refused in time, and given back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.access.quotas import NAMES, WORTH_WAITING, Bucket, Quota, Usage
from cloud_target.server.statuses import metadata_of
from shared.errors import InputError, LimitReached


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_limits_in_words():
    quota = Quota(sessions=9, calls=9).override(["sessions=4", "tokens-per-minute=600", "calls=none"])
    assert quota == Quota(sessions=4, tokens_per_minute=600)
    assert quota.override([]) == quota


@pytest.mark.parametrize(
    "words",
    [
        ["x=1"],
        ["calls"],
        ["calls=0"],
        ["calls=-1"],
        ["calls=1.5"],
        ["calls=1", "calls=1"],
        ["calls=" + "9" * 16],
        ["calls=" + "9" * 5000],  # more digits than Python reads
    ],
)
def test_words_that_are_no_limits(words):
    with pytest.raises(InputError, match="is not a limit; write sessions=N, tokens-per-minute=N") as caught:
        Quota().override(words)
    assert len(str(caught.value)) < 250


def test_the_largest_limit_can_be_reckoned_with():
    usage = Usage("acme", Quota().override([f"{name}={'9' * 15}" for name in NAMES]))
    with usage.call(), usage.session(b"a"):
        usage.spend(10**6)
        usage.spend_bytes(1 << 30)
        usage.check()
        usage.check_bytes()


@given(st.integers(1, 10_000), st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5_000)), min_size=1, max_size=40))
def test_a_bucket_gives_no_more_than_its_rate(per_minute, uses):
    """Whoever waits as told is let in, and all but the last use is covered by a minute's worth and the rate."""
    clock = Clock()
    bucket, used = Bucket(per_minute, clock), 0
    for pause, tokens in uses:
        clock.now += pause
        if wait := bucket.wait():
            clock.now += wait + 1e-6
        assert bucket.wait() == 0.0
        assert used <= per_minute * (1 + (clock.now - 100.0) / 60) + 1e-6
        bucket.take(tokens)
        used += tokens


def test_a_bucket_says_when_it_is_worth_asking_again():
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.take(59)
    assert bucket.wait() == 0.0
    bucket.take(11)  # ten more than there were
    assert bucket.wait() == pytest.approx(10 + WORTH_WAITING)
    usage = Usage("acme", Quota(tokens_per_minute=60), clock=clock)
    usage.spend(70)
    with pytest.raises(LimitReached, match=r"60 tokens a minute are used up; try again in 11\.0") as caught:
        usage.check()
    assert metadata_of(caught.value) == (("tandem-reason", "LIMIT"), ("grpc-retry-pushback-ms", "11000"))
    clock.now += 11
    usage.check()


def test_the_bundle_has_a_limit_of_its_own():
    clock = Clock()
    usage = Usage("acme", Quota(bundle_mib_per_hour=36, tokens_per_minute=1), clock=clock)
    for _ in range(36 * 16):
        usage.check_bytes()
        usage.spend_bytes(64 << 10)
    usage.check()  # tokens are another matter
    with pytest.raises(LimitReached, match="36 MiB of an hour; try again in 1 seconds") as caught:
        usage.check_bytes()
    clock.now += caught.value.retry_after
    usage.check_bytes()
    usage.spend_bytes(1 << 20)
    usage.change(Quota())
    usage.check_bytes()


def test_calls_are_given_back():
    usage = Usage("acme", Quota(calls=2))
    for _ in range(3):
        with usage.call(), usage.call(), pytest.raises(LimitReached, match="2 calls are open"), usage.call():
            pass


def test_idle_sessions_make_room_for_new_ones():
    forgotten: list[bytes] = []
    usage = Usage("acme", Quota(sessions=2), forgotten.append)
    for name in (b"a", b"b", b"a", b"c"):
        with usage.session(name):
            pass
    assert forgotten == [b"b"]
    with ExitStack() as stack:
        for name in (b"c", b"d", b"d"):  # two streams of one session are one session
            stack.enter_context(usage.session(name))
        assert forgotten == [b"b", b"a"]
        with pytest.raises(LimitReached, match="2 texts are being written"), usage.session(b"e"):
            pass
        usage.released(b"d")  # still in use: it counts until its streams end
    usage.released(b"d")
    with usage.session(b"e"):
        pass
    assert forgotten == [b"b", b"a"]


def test_another_quota_holds_from_now_on():
    usage = Usage("acme", Quota(tokens_per_minute=60))
    usage.spend(1000)
    usage.change(Quota(tokens_per_minute=6000))
    usage.check()
    usage.change(Quota())
    usage.spend(10**9)
    usage.check()


def test_sessions_without_a_limit_are_not_remembered():
    usage = Usage("acme", Quota())
    with usage.session(b"a"), usage.session(b"a"), usage.session(b"b"):
        assert len(usage._sessions) == 2
    assert not usage._sessions
    usage.change(Quota(sessions=2))
    with usage.session(b"a"):
        with usage.session(b"b"):
            pass
        usage.change(Quota())
        assert list(usage._sessions) == [b"a"]
    assert not usage._sessions
