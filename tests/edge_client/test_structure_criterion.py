"""With `strict_structure`, what a schema all but dictates counts by `strict`, and the prose within it by `typical`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.memory import Memory
from edge_client.settings import Settings
from edge_client.testing import blurred, byte_tokenizer, random_script, scripted_bundle, scripted_edge
from edge_client.testing.models import ScriptedVerifier
from tests.shared.grammar.schemas import keeps_to, schemas

SCRIPT = random_script(byte_tokenizer().get_vocab_size())
BUNDLE = scripted_bundle(blurred(SCRIPT, 1.0), lambda step, draw: 1.0 / (1.0 + draw.noisy_margin), candidates=24)
# More than a third of the tokens are printable, and ten are digits.
PROSE, NUMBERS = {"regex": "[ -~]{60}"}, {"regex": "[0-9]{60}"}
BOTH = {
    "json_schema": {
        "type": "object",
        "properties": {
            "note": {"type": "string", "minLength": 30, "maxLength": 40},
            "sum": {"type": "string", "pattern": "^[0-9]{30}$"},
        },
        "required": ["note", "sum"],
        "additionalProperties": False,
    }
}


@pytest.fixture(scope="module")
def edge():
    """Shows whatever the draft writes, so that there are errors, and the same ones by every criterion."""
    bundle = scripted_bundle(blurred(SCRIPT, 2.0), lambda *_: 0.0, candidates=300)
    with scripted_edge(SCRIPT, bundle=bundle, budget=1, max_tokens=300, temperature=1.0) as edge:
        yield edge


def errors(edge, seed, **options) -> int:
    done = edge.generate("Once", seed=seed, **options)
    return done.audit.counts.off(done.audit.criterion)


def counted(edge, seed, kept) -> tuple[int, int, int]:
    """Errors by `typical`, by `typical` with a strict structure, and by `strict`."""
    return (
        errors(edge, seed, **kept),
        errors(edge, seed, strict_structure=True, **kept),
        errors(edge, seed, criterion="strict", **kept),
    )


@pytest.mark.parametrize("seed", range(5))
def test_structure_counts_by_strict_and_prose_by_typical(edge, seed):
    typical, mixed, strict = counted(edge, seed, NUMBERS)
    assert typical < mixed == strict
    typical, mixed, strict = counted(edge, seed, PROSE)
    assert typical == mixed < strict
    typical, mixed, strict = counted(edge, seed, BOTH)
    assert typical < mixed < strict


@pytest.mark.slow
@given(schema=schemas, seed=st.integers(0, 99))
def test_it_lies_between_both(edge, schema, seed):
    typical, mixed, strict = counted(edge, seed, {"json_schema": schema})
    assert typical <= mixed <= strict


def test_doubts_are_those_of_the_criterion_that_counts(monkeypatch):
    """The verifier has a column for each, and is asked for the one that a token counts by."""
    columns: list[int] = []
    doubt = ScriptedVerifier.doubt
    monkeypatch.setattr(ScriptedVerifier, "doubt", lambda *args: columns.append(args[-1]) or doubt(*args))

    def asked(**options) -> set[int]:
        columns.clear()
        # Another token than the draft's last ones, so that nothing is a repetition, which is always strict.
        monkeypatch.setattr("edge_client.decoding.drafter.repeats", lambda *_: False)
        with scripted_edge(SCRIPT, bundle=BUNDLE, budget=0.1, max_tokens=100) as edge:
            edge.generate("Once", **options)
        return set(columns)

    assert asked(**NUMBERS) == asked(**PROSE) == {0}
    assert (asked(**NUMBERS, strict_structure=True), asked(**PROSE, strict_structure=True)) == ({1}, {0})
    assert asked(strict_structure=True) == {0}  # nothing is kept to


@pytest.mark.slow
def test_the_budget_is_kept_by_what_counts():
    """Over many texts the share of errors is within it, though by `typical` alone nothing would be asked."""
    with scripted_edge(SCRIPT, bundle=BUNDLE, budget=0.05, max_tokens=200, temperature=1.0) as edge:
        done = [edge.generate("Once", seed=seed, strict_structure=True, **NUMBERS) for seed in range(40)]
    counts = [text.audit.counts for text in done]
    off, known = sum(count.off_typical for count in counts), sum(count.known for count in counts)
    assert known > 2000
    assert off / known <= 0.05 + 3 * np.sqrt(0.05 / known)
    assert off == sum(count.off_strict for count in counts)


def test_it_is_a_promise_of_its_own(tmp_path):
    with scripted_edge(SCRIPT, bundle=BUNDLE, memory=tmp_path, max_tokens=60) as edge:
        for strictly in (False, True):
            assert keeps_to(
                edge.generate("Once", strict_structure=strictly, max_tokens=200, **BOTH).text, BOTH["json_schema"]
            )
        edge.generate("Once", strict_structure=True)
    found = {(one.constrained, one.strict_structure) for one in Memory.open(BUNDLE.manifest, tmp_path).entries}
    assert found == {(True, False), (True, True), (False, False)}


@pytest.mark.parametrize(
    ("options", "differs"), [({}, False), ({"regex": "a"}, True), ({"regex": "a", "criterion": "strict"}, False)]
)
def test_where_it_makes_a_difference(options, differs):
    assert Settings(strict_structure=True, **options).counts_structure_strictly is differs
