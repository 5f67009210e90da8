"""A bundle in memory: who it was made for, how its tokens are written, and models that write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from edge_client.bundles.pocket import POCKET
from edge_client.inference.pool import ModelPool
from shared.bundle import Manifest, read_manifest
from shared.errors import InputError
from shared.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; several edges may share one.

    Attributes:
        manifest: what it is.
        tokenizer: between text and ids.
        models: lends a draft and a verifier to each text that is being written.
    """

    manifest: Manifest
    tokenizer: Tokenizer
    models: ModelPool

    @classmethod
    def load(cls, directory: str | Path = POCKET, threads: int = 1) -> Bundle:
        """Load a bundle and check that it is what its manifest says.

        Args:
            directory: of the bundle; by default the one that ships with Tandem.
            threads: of each model.

        Raises:
            BundleError: it is missing or damaged, or its draft does not give the logits that its manifest says.
        """
        directory = Path(directory)
        manifest = read_manifest(directory)
        tokenizer = load_tokenizer(directory / "tokenizer.json")
        return cls(manifest, tokenizer, ModelPool.load(directory, manifest, threads))

    def check_prompt(self, ids: list[int]) -> None:
        """See that the draft can go on from these ids.

        Raises:
            InputError: there are none, or one is outside the vocabulary.
        """
        if not ids:
            raise InputError("the prompt is empty; give a few words to go on from")
        for token in ids:
            if not 0 <= token < self.manifest.vocabulary:
                raise InputError(
                    f"the prompt's token id {token} is outside the vocabulary of {self.manifest.vocabulary}; use the "
                    "bundle's own tokenizer"
                )
