"""Train the byte-level BPE tokenizer of the pocket models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from cloud_target.training.corpus import has_chat, read_documents
from shared.chat.pocket import CHAT_TEMPLATE, END_OF_TEXT, SPECIAL_TOKENS


def train_tokenizer(paths: Sequence[str | Path], vocabulary: int = 4096) -> Tokenizer:
    """A byte-level BPE over all documents of `paths`; any UTF-8 text round-trips.

    Special tokens take the first ids. Every prompt begins with end-of-text, as every document does in training.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((doc for path in paths for doc in read_documents(path)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A",
        special_tokens=[(END_OF_TEXT, tokenizer.token_to_id(END_OF_TEXT))],
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: str | Path, context: int) -> None:
    """Write `tokenizer.json` and the settings that transformers reads beside it: of the pocket models, or of others."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    settings: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if has_chat(tokenizer):
        settings |= {name: END_OF_TEXT for name in ("bos_token", "eos_token", "pad_token")}
        settings |= {"additional_special_tokens": list(SPECIAL_TOKENS[1:]), "chat_template": CHAT_TEMPLATE}
    settings |= {"clean_up_tokenization_spaces": False, "model_max_length": context}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
