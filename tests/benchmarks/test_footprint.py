"""What the edge takes of a device: the bounds that do not depend on how fast the machine is, in a small run."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution

import pytest

from benchmarks import footprint
from benchmarks.footprint import FLAT_MB, INSTALLED_MB, RESIDENT_MB, Held, Look, measure, needed, size_of, size_of_ours
from shared.errors import TandemError

MB = 1_000_000


def test_the_installation_is_what_the_extra_needs_and_no_larger_than_promised() -> None:
    parts = needed("edge")
    assert {"numpy", "onnxruntime", "grpcio", "uvicorn", "h11", "markupsafe"} <= parts.keys(), "also what those need"
    assert not {"torch", "transformers", "pytest"} & parts.keys()
    sizes = {name: size_of(part) for name, part in parts.items()}
    assert min(sizes.values()) > 0
    assert sizes["onnxruntime"] > 30 * MB
    assert size_of_ours() > 10 * MB
    assert sum(sizes.values()) + size_of_ours() <= INSTALLED_MB * MB


def test_an_extra_of_a_requirement_brings_what_it_needs_and_circles_end(monkeypatch) -> None:
    wants = {
        "one": ["two; extra == 'fast'", "never; extra == 'slow'", "never; python_version < '3'"],
        "two": ["One", "one[late]", "never; extra == 'x'"],
        "three": None,
    }
    wants["one"] += ["three; extra == 'late'"]

    class Made:
        def __init__(self, name: str) -> None:
            self.requires = wants[name]

    monkeypatch.setattr(footprint, "distribution", Made)
    monkeypatch.setattr(footprint, "asked", {"edge": ["one[fast]>=1"]}.get)
    assert needed("edge").keys() == {"one", "two", "three"}


def test_files_that_are_recorded_twice_or_gone_count_once_or_not(tmp_path) -> None:
    (tmp_path / "a.py").write_bytes(b"x" * 100)

    class Made(Distribution):
        files = ("a.py", "a.py", "gone.pyc")

        def locate_file(self, path):
            return tmp_path / path

        def read_text(self, filename):
            return None

    assert size_of(Made()) == 100


def test_what_is_not_installed_is_named(monkeypatch) -> None:
    monkeypatch.setattr(footprint, "asked", lambda extra: ["numpy", "no-such-thing>=2"])
    with pytest.raises(TandemError, match=r"no-such-thing is not installed here; in this directory, pip install"):
        needed("edge")


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat_under_short_requests_and_bounded_under_long_ones() -> None:
    held = measure(200)
    looks = (held.fresh, held.tenth, held.all, held.long)
    assert held.fresh.resident > 20 * MB
    assert held.grown <= FLAT_MB * MB
    assert len({look.descriptors for look in looks}) == 1, looks
    assert held.long.resident <= held.long.peak <= RESIDENT_MB * MB
    assert held.written > 100


def test_the_table_puts_bars_beside_figures(monkeypatch, capsys) -> None:
    looks = [Look(mega * MB, (mega + 1) * MB, 7 + mega) for mega in (50, 60, 62, 90)]
    monkeypatch.setattr(footprint, "measure", lambda requests: Held(*looks, 1234))
    monkeypatch.setattr(footprint, "needed", lambda extra: {"numpy": "numpy"})
    monkeypatch.setattr(footprint, "size_of", lambda part: 70 * MB)
    monkeypatch.setattr(footprint, "size_of_ours", lambda: 20 * MB)
    monkeypatch.setattr(footprint, "seconds_of_help", lambda rounds: (0.125, rounds / 4))
    monkeypatch.setattr(sys, "argv", ["footprint", "--requests", "4000", "--helps", "2"])
    assert footprint.main() == 0
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines() if "|" in line
    ]
    assert rows[0] == ["", "measured", "at most"]
    found = {name: (figure, bar) for name, figure, bar in rows[2:]}
    assert found["`edge-client --help`, CPU s"] == ("0.12", "0.4")
    assert found["`edge-client --help`, wall s"] == ("0.50", "0.4")
    assert found["resident MB, after 400 short requests"] == ("60.0", "200")
    assert found["grown from 400 requests to 4,000, MB"] == ("+2.0", "5")
    assert found["resident MB, the most at any time"] == ("91.0", "200")
    assert found["open descriptors, after 4,000 short requests"] == ("69", "57")
    assert found["installed, MB"] == ("90", "300")
