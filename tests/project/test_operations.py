"""docs/operations.md shows what there is: every metric, and commands that parse."""

from __future__ import annotations

import re
import runpy

from cloud_target.telemetry.catalogue import METRICS
from tests.project.test_readme import commands, problem
from tests.project.tree import ROOT

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_the_table_of_metrics_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs/metrics_table.py"))
    assert page["updated"](PAGE) == PAGE, "run: python docs/metrics_table.py"
    assert page["table"]() in PAGE


def test_every_metric_that_it_names_is_offered() -> None:
    offered = {metric.series for metric in METRICS.values()} | {"tandem_build_info"}
    assert set(re.findall(r"tandem_\w+", PAGE)) <= offered


def test_its_commands_parse() -> None:
    shown = list(commands(PAGE))
    programs = [words[1] for words in shown if words[0] == "cloud-target"]
    assert {"serve", "doctor", "bench"} <= set(programs)
    assert [found for words in shown if (found := problem(words))] == []
