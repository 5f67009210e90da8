"""Tiny checkpoints that chat, after a fashion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

# Words of the tiny tokenizers, before and behind what a user says.
BEFORE, AFTER = [7, 8], [10, 11]
_TEMPLATE = "{{ 'w7 w8 ' + messages[0].content + ' w10 w11 ' }}"


def with_template(checkpoint: Path, place: Path) -> Path:
    """A copy of a tiny checkpoint that has a chat template."""
    shutil.copytree(checkpoint, place)
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": _TEMPLATE}
    (place / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return place
