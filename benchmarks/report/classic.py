"""Classic speculative decoding over a link: a window of guesses, a round trip, the next window."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from edge_client.decoding.drafter import Drafter
from edge_client.decoding.record import Record
from edge_client.decoding.text import Text
from edge_client.decoding.windows import guess_and_judge
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.usage.summary import Summary, Times
from shared.config import Coupling
from shared.sampling import Sampler
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder


def write_in_windows(edge: Edge, prompt: Sequence[int], settings: Settings) -> tuple[list[int], Summary]:
    """Write one text; returns its tokens and its figures.

    Args:
        edge: whose models, and whose target, are used.
        settings: sampling, coupling, window and length.
    """
    begin, first = perf_counter(), 0.0
    manifest, is_residual = edge.bundle.manifest, settings.coupling is Coupling.RESIDUAL
    stopper = Stopper(manifest.end_ids, settings.stop, settings.max_tokens or manifest.context)
    text, record = Text(list(prompt), StreamDecoder(edge.bundle.tokenizer, prompt), stopper), Record()
    session = edge.connect().session(settings.sampling, settings.coupling, manifest.end_ids, len(prompt))
    with edge.bundle.models.lend() as models, session:
        drafter = Drafter(models.draft, Sampler(settings.sampling), None, settings.criterion, keeps_q=is_residual)
        for _ in guess_and_judge(text, drafter, session, settings.effective_window, [record]):
            first = first or perf_counter() - begin
        total, meter = perf_counter() - begin, session.meter
        times = Times.of(1e3 * total, 1e3 * first, drafter.draft_ns, drafter.verifier_ns, meter)
        return text.continuation, record.summary(text, times, meter, drafted=drafter.drafted)
