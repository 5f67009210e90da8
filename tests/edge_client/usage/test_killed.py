"""Processes that share a ledger and are killed (SIGKILL) in the middle: it never says less than the target counted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_client.usage.account import BLOCK
from edge_client.usage.amount import Amount
from edge_client.usage.ledger import Ledger
from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.scripted_device import fake_cloud
from tests.edge_client.usage.billing import Billing, is_just, total, untimed
from tests.grpc_service import Servicer, serving
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow

# The longest request of a spender.
REQUEST = Amount(10, 90, 10)


def spend(directory: Path, seed: int, cap: int, most: int) -> Amount:
    """Run a spender, and kill it after `most` calls, wherever it then is; what the target counted."""
    command = [sys.executable, "-m", "tests.edge_client.usage.spender", str(directory), str(seed), str(cap)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        bill = Amount()
        for number, line in enumerate(run.stdout, 1):
            if line.endswith("\n"):
                bill = Amount(*map(int, line.split()))
            if number == most:
                run.kill()
    return bill


@pytest.mark.parametrize(("cap", "seed"), [(0, 1), (0, 2), (9_000, 3), (5_000, 4)])
def test_whoever_is_killed_has_written_down_what_it_spent(cap, seed, tmp_path):
    chance, count = random.Random(seed), 4
    most = [chance.randint(1, 400) for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        bills = list(threads.map(lambda number: spend(tmp_path, number, cap, most[number]), range(count)))
    bill, figures = sum(bills, Amount()), total(Ledger.at(tmp_path))
    counted = untimed(figures.spent + figures.reserved)
    assert bill.calls >= count
    assert counted.covers(bill)
    assert (bill + count * (untimed(BLOCK) + 2 * REQUEST)).covers(counted), "no more than a block a text is held"
    assert not cap or bill.tokens <= counted.tokens <= cap
    assert figures.texts == count


def test_devices_that_are_killed_in_the_middle_of_a_text_leave_a_just_ledger(tmp_path):
    """The whole command line over gRPC: each device is killed when the target has counted so many calls."""
    chance = random.Random(5)
    running: list[subprocess.Popen] = []
    limit = [0]

    def told(bill: Amount) -> None:
        if running and bill.calls >= limit[0]:
            running[-1].kill()

    target = Billing(fake_cloud(), told)
    with serving(Servicer(target)) as port:
        for mode in ("sprint", "exact", "cloud", "sprint", "auto"):
            # Far fewer than any text of 400 tokens asks, whatever its seed.
            limit[0] = target.bill.calls + chance.randint(4, 15)
            words = ["Tom", "--target", f"127.0.0.1:{port}", "--mode", mode, "--max-tokens", "400", "-q"]
            command = [sys.executable, "-m", "tests.edge_client.scripted_device", *words]
            environment = os.environ | {"TANDEM_STATE": str(tmp_path), "TANDEM_TEST_PAUSE": "0.002"}
            with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as run:
                running.append(run)
                assert run.wait(PATIENCE) == -signal.SIGKILL
    figures = total(Ledger.at(tmp_path))
    assert is_just(figures, target.bill)
    assert figures.texts == 5
