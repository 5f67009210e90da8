"""A target whose model is a function: for tests of programs that use Tandem, without a model and without a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from edge_client.testing.contract import ScriptedStream
from edge_client.testing.scripts import Script
from shared.contents import Contents
from shared.errors import ProtocolError, TargetRefused
from shared.grammar import library
from shared.grammar.engine import GrammarEngine
from shared.manifest import Manifest, read_manifest
from shared.wire import codec
from shared.wire.bundles import CHUNK_BYTES, encode_contents
from shared.wire.v1 import target_pb2 as wire

SCRIPTED = "scripted"


class ScriptedTarget:
    """A target that follows a script; the `Service` of a `LoopbackTransport` or `LossyTransport`. ::

        target = ScriptedTarget(random_script(vocabulary=261), vocabulary=261)
        transport = LoopbackTransport(target)

    Args:
        script: from the ids of a text to the next token's logits, ``float32 [vocabulary]``, all finite.
        vocabulary: number of token ids.
        context: longest text in tokens, prompt included.
        name, fingerprint: who it says it is; a stream that names another fingerprint is refused. A bundle made for a
            target of another one is used, with a warning.
        tokenizer_fingerprint: a bundle with another one is refused.
        step: what it says that a pass over one token takes, seconds; 0 says nothing.
        tokenizer: by which grammars know its tokens; without one it keeps no text to a schema.
        bundle: a directory whose bundle it offers to edges.

    Attributes:
        script, vocabulary, context: as given.
        lives: how often it was started.
        texts: ids that it knows of each session's text, by session id.
    """

    def __init__(
        self,
        script: Script,
        vocabulary: int,
        context: int = 4096,
        name: str = SCRIPTED,
        fingerprint: str = SCRIPTED,
        tokenizer_fingerprint: str = SCRIPTED,
        step: float = 0.0,
        tokenizer: Tokenizer | None = None,
        bundle: Path | None = None,
    ) -> None:
        self.script = script
        self.vocabulary, self.context = vocabulary, context
        self._name, self._fingerprint, self._tokenizer_fingerprint = name, fingerprint, tokenizer_fingerprint
        self._step = step
        self._grammars = None if tokenizer is None else GrammarEngine(tokenizer, vocabulary)
        self.lives = 1
        self.offer(bundle)
        self.texts: dict[bytes, list[int]] = {}

    @classmethod
    def of(cls, manifest: Manifest, script: Script, tokenizer: Tokenizer | None = None) -> ScriptedTarget:
        """The target that a bundle was made for, whatever its real model is; with the bundle's tokenizer it keeps texts
        to schemas."""
        return cls(
            script,
            manifest.vocabulary,
            manifest.context,
            manifest.target_name,
            manifest.target_fingerprint,
            manifest.tokenizer_fingerprint,
            tokenizer=tokenizer,
        )

    def offer(self, bundle: Path | None) -> None:
        """From now on offer this bundle, or none.

        Raises:
            BundleError: it is missing or damaged.
        """
        self._offered, self._files = None, {}
        if bundle:
            self._offered = Contents.of(bundle, read_manifest(bundle))
            self._files = {file.name: (bundle / file.name).read_bytes() for file in self._offered.files}

    def fetch(self, request: wire.FetchBundleRequest) -> Iterator[bytes]:
        """See `OfferingService.fetch`."""
        if self._offered is None or request.digest.hex() != self._offered.digest:
            raise TargetRefused("the target refused the request: this target offers another bundle than that")
        data = self._files.get(request.file, b"")
        if request.offset >= len(data):
            raise ProtocolError(f"there is nothing of {request.file!r} from {request.offset} on; ask for less")
        for begin in range(request.offset, len(data), CHUNK_BYTES):
            yield data[begin : begin + CHUNK_BYTES]

    def describe(self) -> wire.DescribeResponse:
        """See `Service.describe`."""
        return wire.DescribeResponse(
            name=self._name,
            fingerprint=self._fingerprint,
            tokenizer_fingerprint=self._tokenizer_fingerprint,
            vocabulary=self.vocabulary,
            context=self.context,
            max_request_tokens=self.context,
            dtype="float32",
            protocol=codec.REVISION,
            step_us=round(1e6 * self._step),
            grammar_engine=library.version() if self._grammars else "",
            repeatable=True,
            bundle=encode_contents(self._offered) if self._offered else None,
        )

    def stream(self) -> ScriptedStream:
        """See `Service.stream`."""
        return ScriptedStream(self.script, self.vocabulary, self.context, self.texts, self._grammars, self._fingerprint)

    def release(self, session_id: bytes) -> None:
        """See `Service.release`."""
        self.texts.pop(session_id, None)

    def evict(self) -> None:
        """Forget every session, as if others had needed the room; the edge will send its text again."""
        self.texts.clear()

    def restart(self) -> None:
        """Begin a new life: every session is forgotten and every stream broken."""
        self.lives += 1
        self.texts.clear()
