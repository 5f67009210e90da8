"""A tokenizer as Llama's: pieces of words with a mark for the space before them, and bytes for all other characters."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, normalizers

_MERGES = ["▁ {", '{ "', '" :', '" ,', '" }', '▁ "', "▁ a", "h e", "▁ t", "▁t r"]


def pieces() -> Tokenizer:
    """Its first three tokens are special."""
    special = ["<unk>", "<s>", "</s>"]
    single = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(0x21, 0x7F)), "é"]
    vocabulary = {piece: number for number, piece in enumerate(special + single)}
    for merge in _MERGES:
        vocabulary[merge.replace(" ", "")] = len(vocabulary)
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in _MERGES)]
    made = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(special)
    return made
