"""What `verifier report` says of a bundle and of its promises, in the plain words of each case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_client.cli.verifier_report import as_dict, as_text
from edge_client.promise.memory import Memory
from edge_client.promise.promises import Entry, Promise
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.calibration import SPREAD, Calibration, Doubts
from shared.config import Criterion
from shared.steering.budget import Steering
from shared.steering.ledger import Account, most_debt
from tests.edge_client.scripted_device import manifest

TABLE = [Calibration(Criterion.TYPICAL, 0.7, 0.9, 0.01, 0.2, 0.01, 0.1, 1000)]
DOUBTS = [Doubts(Criterion.TYPICAL, 0.7, 0.9, np.linspace(-6.0, 0.0, SPREAD).tolist())]


@pytest.mark.parametrize(
    ("calibration", "doubts", "says"),
    [
        (TABLE, DOUBTS, {"steers nothing"}),
        (TABLE, [], {"steers nothing", "does not say what its verifier's doubts are like"}),
        ([], [], {"was never calibrated"}),
    ],
)
def test_where_a_device_begins_is_said(calibration, doubts, says):
    text = as_text(replace(manifest(), calibration=calibration, doubts=doubts), Memory())
    known = {"steers nothing", "does not say what its verifier's doubts are like", "was never calibrated"}
    assert {sentence for sentence in known if sentence in text} == says


def test_what_was_never_audited_is_no_rate_and_promises_can_be_told_apart():
    memory = Memory()
    for coupling, learn in (("gumbel", False), ("gumbel", True), ("residual", False)):
        promise = Promise.of(Settings(coupling=coupling, learn=learn), "t")
        memory.entries[promise] = Entry(promise, texts=1, counts=AuditCounts(shown=3))
    rows = [line.split("  ") for line in as_text(manifest(), memory).splitlines() if "typical" in line]
    assert [[cell.strip() for cell in row if cell][:4] for row in rows] == [
        [about, "1 %", "-", "-"] for about in ("typical", "typical, learning", "typical, residual")
    ]
    assert [one["divergence"] for one in as_dict(manifest(), memory)["audits"]] == [None] * 3


@pytest.mark.parametrize(("more", "is_overdrawn"), [(0.0, True), (-0.1, False)])
def test_an_overdrawn_budget_is_told_of(more, is_overdrawn):
    memory, promise = Memory(), Promise.of(Settings(budget=0.01), "t")
    memory.entries[promise] = Entry(promise, Steering(account=Account(most_debt(0.01) + more, 100)))
    sentence = "The budget of 1 % typical is overdrawn by 6 off-target tokens: every token is asked"
    assert (sentence in as_text(manifest(), memory)) is is_overdrawn
