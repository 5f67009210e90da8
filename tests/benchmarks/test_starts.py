"""What a new device asks at first is counted over its first texts."""

from __future__ import annotations

from benchmarks.starts import FIRST, PROMISES, start
from tests.edge_client.scripted_device import fake_edge


def test_each_row_is_about_all_tokens_so_far():
    with fake_edge() as edge:
        (early, early_calls), (late, late_calls) = start(edge, [[1, 2, 3], [4, 5, 6, 7]], PROMISES[0])
    for counts, enough in zip((early, late), FIRST, strict=True):
        assert enough <= counts.shown < enough + 96
        assert counts.known == counts.shown
    assert 0 < early_calls < late_calls
    assert 0 < early.asked <= late.asked
