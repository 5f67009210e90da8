"""The guard against processors that advertise AMX and forbid it."""

from __future__ import annotations

import subprocess

import pytest

from cloud_target.engine.hf import cpu


@pytest.mark.parametrize(("status", "limited"), [(0, False), (1, False), (-4, True)])
def test_the_bf16_guard(monkeypatch, status, limited):
    """-4 is death by SIGILL; a trial that ends in another way says nothing against AMX."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(cpu, "_advertises_amx", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), status))
    assert cpu.guard_bfloat16() is limited
    assert (cpu.os.environ.get("ONEDNN_MAX_CPU_ISA") == "AVX512_CORE_BF16") is limited


def test_the_bf16_guard_costs_nothing_without_amx(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(cpu, "_advertises_amx", lambda: False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("no trial is needed"))
    assert cpu.guard_bfloat16() is False
