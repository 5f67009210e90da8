"""Responses are kept while they fit, and those that were asked for last the longest."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from edge_client.server.responses.kept import KeptResponses

MOST, MOST_BYTES = 4, 300


@given(
    st.lists(
        st.tuples(st.sampled_from(["keep", "keep", "find", "forget"]), st.integers(0, 4), st.integers(0, 60)),
        min_size=12,
        max_size=40,
    )
)
def test_the_most_recent_ones_that_fit(actions):
    kept = KeptResponses(MOST, MOST_BYTES)
    model: dict[str, int] = {}  # the sizes of those that there should be, in order of their last use
    for number, (action, which, length) in enumerate(actions):
        known = list(model)
        name = known[which] if action != "keep" and which < len(known) else f"new {number}"
        if action == "keep":
            turns, response = [{"role": "user", "content": "a" * length}], {"id": name}
            kept.keep(turns, response)
            model[name] = len(json.dumps([turns, response]))
            while len(model) > MOST or sum(model.values()) > MOST_BYTES:
                del model[next(iter(model))]
        elif action == "find":
            found = kept.find(name)
            assert (found is not None) == (name in model)
            if found is not None:
                assert found.response == {"id": name}
                model[name] = model.pop(name)
        else:
            kept.forget(name)
            model.pop(name, None)
    for name in list(model):
        assert kept.find(name) is not None
    assert all(kept.find(f"new {number}") is None for number in range(40) if f"new {number}" not in model)
