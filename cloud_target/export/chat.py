"""What a bundle's prompts will be: whether the chat template can be used on a device, and what every text ends with."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tokenizers import Tokenizer

from cloud_target.engine.tokens import Tokens
from shared.chat.prompt import ChatEncoder
from shared.chat.template import ChatTemplate
from shared.errors import InputError

# Conversations whose ids must be those of transformers, where it takes them.
_USER = {"role": "user", "content": " What is 2 < 3?\nSay it in one word. "}
_ANSWER = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nTrue 😀"}
_SYSTEM = {"role": "system", "content": "Be brief."}
CONVERSATIONS = (
    [_USER],
    [_SYSTEM, _USER],
    [_USER, _ANSWER, _USER],
    [_SYSTEM, _USER, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "  Why?\n\n"}],
)


def usable_chat(
    tokens: Tokens, end_ids: Collection[int] = (), tell: Callable[[str], None] = lambda _: None
) -> ChatTemplate | None:
    """The chat template of a checkpoint, if it gives on a device what it gives in transformers.

    Args:
        tokens: of the checkpoint.
        end_ids: tokens that end a text.
        tell: is told why there is one that is of no use.
    """
    if tokens.chat is None:
        if tokens.original.chat_template:
            tell("the chat template is left out: it is not one text, or longer than any that is in use")
        return None
    encoder = ChatEncoder(tokens.tokenizer, tokens.chat, end_ids)
    spelled = set(tokens.tokenizer.get_added_tokens_decoder().values())
    taken = 0
    for turns in CONVERSATIONS:
        try:
            wanted = tokens.original.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except Exception:  # a template takes what it takes: some know no system, some want tools
            continue
        taken += 1
        try:
            ids = encoder.encode(turns)
        except InputError as error:
            tell(f"the chat template is left out: {error}")
            return None
        # What a turn spells must stay text here, and becomes a control token in transformers.
        spells = any(token.content in turn["content"] for token in spelled for turn in turns)
        if not spells and ids != [id for id in wanted if id not in tokens.foreign]:
            tell(
                f"the chat template is left out: with it transformers makes {len(wanted)} tokens of a conversation, "
                f"and a device makes {len(ids)}, not the same"
            )
            return None
    if not taken:
        tell("the chat template is left out: it takes no plain conversation")
        return None
    return tokens.chat


def tell_endings(tokenizer: Tokenizer, tell: Callable[[str], None]) -> None:
    """Say so if this tokenizer ends every text, as a prompt too, with a token: to the model it looks finished then."""
    ids, bare = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    start = next((start for start in range(len(ids)) if ids[start : start + len(bare)] == bare), 0)
    behind = "".join(tokenizer.id_to_token(id) for id in ids[start + len(bare) :])
    if behind:
        tell(
            f"every prompt will end with {behind}, as transformers encodes it (add_eos_token), which tells the model "
            "that the text is over; set it to false in tokenizer_config.json for a draft that goes on"
        )
