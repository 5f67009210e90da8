"""What a reader is told while the target does not answer, on a clock that costs no time."""

from __future__ import annotations

import random

import pytest

from edge_client.target.outage import DOWN_AFTER, SILENT_AFTER, Outage
from edge_client.target.retry import Patience, Retry
from edge_client.testing import ManualClock
from shared.errors import LinkBroken, TargetBusy, TargetUnavailable


class Reader:
    """Waits for a target, and keeps what it is told and when."""

    def __init__(self, total: float = 60.0, tells: bool = True) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[float, str]] = []
        self.patience = Patience(Retry(total=total), "there:1", self.clock, random.Random(0), tells)
        self.outage = Outage(self.clock, lambda sentence: self.told.append((self.clock.now(), sentence)))

    def fail(self, error: TargetUnavailable, seconds: float) -> None:
        """Attempts fail at once, for so long."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.outage.failed(error, self.patience)
            self.patience.after(error)


def test_a_link_that_is_down_is_told_of_once_and_so_is_its_end():
    reader = Reader()
    reader.fail(LinkBroken("cut"), 20.0)
    assert reader.outage.answered(reader.patience)
    assert not reader.outage.answered(reader.patience)
    (down, why), (_, again) = reader.told
    assert DOWN_AFTER <= down < 2.0
    assert why == "the target at there:1 is not reached: the link is down (cut); trying again for up to 60 seconds"
    assert again == "the target at there:1 answers again"


def test_a_link_that_mends_at_once_is_nobodys_business():
    reader = Reader()
    for _ in range(5):
        reader.fail(LinkBroken("cut"), 0.2)
        assert reader.outage.answered(reader.patience)
    assert reader.told == []


def test_a_target_without_room_is_told_of():
    reader = Reader()
    reader.fail(TargetBusy("full"), 3.0)
    assert reader.outage.answered(reader.patience)
    assert "has no room for this text (full); trying again" in reader.told[0][1]


def test_a_silence_is_told_of_once_a_text():
    reader = Reader()
    assert reader.outage.silence_is_news(0.0, reader.patience) == SILENT_AFTER
    reader.clock.sleep(1.0)
    assert reader.outage.silence_is_news(0.0, reader.patience) == pytest.approx(SILENT_AFTER - 1.0)
    reader.outage.silent(reader.patience)
    assert reader.outage.silence_is_news(1.0, reader.patience) == float("inf")
    assert not reader.outage.answered(reader.patience)
    assert [sentence for _, sentence in reader.told] == [
        "the target at there:1 has not answered for a while; waiting for up to 59 seconds",
        "the target at there:1 answers again",
    ]
    assert not reader.outage.answered(reader.patience)
    assert len(reader.told) == 2


@pytest.mark.parametrize(
    ("left", "words"), [(0.01, "1 second"), (0.5, "1 second"), (1.0, "1 second"), (1.2, "2 seconds")]
)
def test_what_is_left_of_the_patience_is_never_told_as_nothing(left, words):
    reader = Reader(left)
    reader.outage.silent(reader.patience)
    assert reader.told[0][1].endswith(f"waiting for up to {words}")


def test_nobody_is_told_of_what_nobody_waits_for():
    reader = Reader(2.0, tells=False)
    with pytest.raises(TargetUnavailable):
        reader.fail(LinkBroken("cut"), 9.0)
    assert reader.outage.silence_is_news(0.0, reader.patience) == float("inf")
    assert reader.told == []
