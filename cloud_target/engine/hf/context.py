"""How long a model's texts may be: as its configuration says, as somebody asks, and as far as it is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import PretrainedConfig, PreTrainedModel

from cloud_target.engine.hf.switches import growing_from, trial_length, tried_context
from shared.errors import InputError

# Tokens of the longest text where nobody asks for more: memory is as long.
USUAL = 4096
# What configurations call the longest text that a model was made for, tokens.
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")


def longest_text(config: PretrainedConfig) -> int | None:
    """How many tokens a model was made for, None if its configuration does not say."""
    text = config.get_text_config()
    for name in _LENGTHS:
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def name_length(model: PreTrainedModel, source: str | Path) -> None:
    """Give the length of the longest text the name `max_position_embeddings`, whatever the architecture calls it.

    Raises:
        InputError: the configuration does not say.
    """
    longest = longest_text(model.config)
    if longest is None:
        raise InputError(f"config.json of {source} does not say how long a text may be; add max_position_embeddings")
    if getattr(model.config, _LENGTHS[0], None) is None:
        model.config.max_position_embeddings = longest


def choose_context(model: PreTrainedModel, asked: int | None, name: str, tell: Callable[[str], None]) -> int:
    """The length of the longest text, tokens: as asked for, or the model's own, at most `USUAL`, and right to its end.

    Args:
        asked: by somebody; then a shorter one is no answer.
        name: of the model, for people.
        tell: is told, in a sentence, of texts that are kept shorter than they could be.

    Raises:
        InputError: it takes no such texts, they would not be right, or nobody says how long they may be.
    """
    config = model.config
    wanted = _wanted(config, asked, name)
    right = min(wanted, growing_from(config) or wanted)
    tried = trial_length(config, right, model.num_parameters(), model.device)
    why = "rotates positions in another way, and all those of a pass alike"
    if (sure := tried_context(config, right, tried)) < right:
        right, why = sure, f"computes in another way, and no more than {tried} can be tried here"
    if right < wanted and asked is not None:
        raise InputError(f"beyond {right} tokens {name} {why}; give --context {right}")
    if right < wanted:
        tell(f"texts have at most {right} tokens, not {wanted}: longer ones are computed in another way")
    return right


def _wanted(config: PretrainedConfig, asked: int | None, name: str) -> int:
    longest = longest_text(config)
    if asked is None and longest is None:
        raise InputError(f"the configuration of {name} does not say how long a text may be; give --context")
    if asked is None:
        return min(longest or USUAL, USUAL)
    if asked < 2 or (longest and asked > longest):
        allowed = f"between 2 and {name}'s own {longest} tokens" if longest else "2 tokens or more"
        raise InputError(f"the context must be {allowed}, not {asked}; give another --context")
    return asked
