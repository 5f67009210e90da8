"""Counts of audits add up, and rates rest on what the target has seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_client.usage.audit_counts import AuditCounts, AuditReport
from shared.config import Criterion

counts = st.builds(AuditCounts, *(st.integers(0, 1000) for _ in range(6)), st.floats(0, 1e4))


@given(st.lists(counts, max_size=5))
def test_a_sum_counts_what_its_parts_count(parts):
    whole = sum(parts, AuditCounts())
    for name in ("shown", "known", "asked", "off_typical", "off_strict", "unlikely", "nll"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)


@given(counts)
def test_rates_are_shares_of_what_is_known(found):
    for criterion, off in ((Criterion.TYPICAL, found.off_typical), (Criterion.STRICT, found.off_strict)):
        assert found.off(criterion) == off
        assert found.rate(criterion) == (off / found.known if found.known else None)
        report = AuditReport(criterion, found)
        assert (report.rate, report.tokens) == (found.rate(criterion), found.known)
    assert found.unlikely_share == (found.unlikely / found.known if found.known else None)
    assert found.mean_nll == (found.nll / found.known if found.known else None)
    assert found.ask_rate == (found.asked / found.shown if found.shown else 0.0)
