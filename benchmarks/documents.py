"""Prompts from a corpus: the openings of documents that the models were not trained on."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from shared.errors import InputError
from shared.tokenizer import encode_prompt

OPENING = 24
# How much deeper each further round goes into the documents: at temperature 0 another seed alone changes nothing.
DEEPER = 8
# More characters than any opening has; encoding whole documents would be waste.
_ENOUGH = 4000


def after(documents: Sequence[str], start: float) -> Sequence[str]:
    """The documents from the fraction `start` on.

    Raises:
        InputError: the fraction is not below 1, or negative.
    """
    if not 0 <= start < 1:
        raise InputError(f"--from must be a fraction of the documents, from 0 to below 1, not {start}")
    return documents[int(start * len(documents)) :]


def openings(tokenizer: Tokenizer, documents: Sequence[str], count: int, opening: int = OPENING) -> list[list[int]]:
    """Token ids of `count` prompts: the documents' openings in order, and round again if there are too few.

    Args:
        opening: tokens of one, special ones included, or half of the document's if that is less; `DEEPER` more in each
            further round.

    Raises:
        InputError: no document has the two tokens that make an opening.
    """
    ids = [encode_prompt(tokenizer, document[:_ENOUGH]) for document in documents[:count] if document]
    ids = [document for document in ids if len(document) >= 4]
    if not ids:
        raise InputError("the documents are too short to take openings from; give longer ones")
    prompts = []
    for number in range(count):
        rounds, index = divmod(number, len(ids))
        document = ids[index]
        prompts.append(document[: min(opening + DEEPER * rounds, len(document) // 2)])
    return prompts
