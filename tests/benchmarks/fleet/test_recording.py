"""Which guesses of a feed were right."""

from __future__ import annotations

from benchmarks.fleet.recording import hits_of
from cloud_target.engine.interface import Feed
from shared.config import Sampling

GREEDY = Sampling(0.0, 0, 1.0, 0)


def test_hits_of_a_line_end_at_the_first_wrong_guess() -> None:
    feed = Feed(0, 5, (1, 10, 11, 99, 13), 0, GREEDY, spare=4)
    assert hits_of(feed, [10, 11, 12, 13, 14]) == (1, 2)


def test_hits_of_a_tree_follow_the_path_that_was_right() -> None:
    # Behind token 1 stand 20 and 10; behind 10 stand 30 and 11.
    feed = Feed(0, 5, (1, 20, 10, 30, 11), 0, GREEDY, spare=4, parents=(0, 0, 2, 2))
    assert hits_of(feed, [10, 0, 11, 0, 0]) == (2, 4)


def test_a_feed_without_guesses_has_no_hits() -> None:
    assert hits_of(Feed(0, 5, (1, 10), 1, GREEDY), [3]) == ()
