"""A target that is another one in the middle of a text, as programs hear of it; and the text after that."""

from __future__ import annotations

import openai
import pytest

from tests.edge_client.behind_one_name import OneName, edge_of, own_texts, targets
from tests.edge_client.server.serving import served


@pytest.mark.parametrize("streams", [True, False])
def test_programs_are_told_in_openais_form_and_may_ask_again(streams):
    name = OneName(*targets())
    texts = []

    def replace(ids):
        """In the middle of a text, for whoever reads it."""
        if len(ids) == len("Once") + 1 + 20 and name.service is name.services[0]:
            name.service = name.services[1]
            name.services[0].restart()
        return script(ids)

    script, name.services[0].script = name.services[0].script, replace
    with edge_of(name, mode="cloud", seed=3) as edge, served(edge) as client:
        ask = {"model": "scripted:cloud", "prompt": "Once", "seed": 3}

        def read() -> None:
            answer = client.completions.create(stream=streams, **ask)
            if streams:
                texts.extend(chunk.choices[0].text for chunk in answer)

        with pytest.raises(openai.APIError, match="is another one than has written so far") as caught:
            read()
        assert caught.value.code == "target_changed"
        assert caught.value.type == "server_error"
        if streams:
            assert "".join(texts), "what is written has been sent"
        else:
            assert caught.value.status_code == 502
        again = client.completions.create(**ask)
    assert again.choices[0].text == edge.bundle.tokenizer.decode(own_texts()[1])
