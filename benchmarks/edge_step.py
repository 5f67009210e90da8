"""What a token costs on the device, beside the bare onnxruntime run of the draft's graph: medians, one thread.

python -m benchmarks.edge_step                                    # the embedded draft
python -m benchmarks.edge_step --bundle my-bundle --target my-target --documents texts.txt
python -m benchmarks.edge_step --shape 256x2x640 256x3x640 320x2x768 --dtype int8    # random weights, to choose a size
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np
from onnxruntime import InferenceSession, OrtValue

from benchmarks.local_target import local_target, run_main
from benchmarks.pair import add_documents, prompts_of
from benchmarks.prompts import STORIES
from cloud_target.engine.files import POCKET as TARGET
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.edge import Edge
from edge_client.inference.draft import Draft
from edge_client.inference.runtime import open_session
from shared.config import Sampling
from shared.manifest import Manifest
from shared.paths import typed_path, typed_place
from shared.sampling import Sampler

PARTS = ("bare", "feed", "draw", "verify", "head", "local")
START = 64  # tokens read before the clock runs


class Bare:
    """Nothing but onnxruntime's own work: everything is bound and written before the clock starts.

    Args:
        session: of the draft's graph.
        length: tokens in the cache of a concat graph, whose cost hangs on it; a shared buffer takes any.
    """

    def __init__(self, session: InferenceSession, manifest: Manifest, length: int) -> None:
        sizes = {"n": 1, "r": 1, "context": manifest.context, "length": length}
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
        self.inputs = {
            node.name: np.zeros([sizes.get(size, size) for size in node.shape], kinds[node.type])
            for node in session.get_inputs()
        }
        self.run = lambda: session.run(None, self.inputs)
        if manifest.draft.kind == "concat":
            return
        binding = session.io_binding()
        values = {name: OrtValue.ortvalue_from_numpy(array) for name, array in self.inputs.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for node in session.get_outputs():
            array = np.zeros([sizes.get(size, size) for size in node.shape], kinds[node.type])
            value = values.get(node.name.replace("present", "past"))
            binding.bind_ortvalue_output(node.name, value or OrtValue.ortvalue_from_numpy(array))
        self.run = lambda: session.run_with_iobinding(binding)

    def replay(self, text: list[int], start: int) -> list[int]:
        """Nanoseconds for each token of `text` from position `start` on: the same work as when it was written."""
        spans = []
        for position, token in enumerate(text):
            self.inputs["ids"].fill(token)
            if "last" in self.inputs:
                self.inputs["last"].fill(position)
                self.inputs["positions"].fill(position)
            begin = perf_counter_ns()
            self.run()
            spans.append(perf_counter_ns() - begin)
        return spans[start:]


def measure(loaded: Bundle, bundle: Path, text: list[int], tokens: int, rounds: int) -> dict[str, float]:
    """Medians in microseconds of `PARTS`; "local" is a whole token of that mode, "head" the verifier's graph alone.

    Args:
        text: ids to go on from.
    """
    edge = Edge(bundle=loaded)
    bare = Bare(open_session(bundle / "draft.onnx", 1), loaded.manifest, len(text) + tokens // 2)
    times: dict[str, list[int]] = {part: [] for part in PARTS}
    for seed in range(rounds):
        with loaded.models.lend() as models:
            written = write_timed(models.draft, models.verifier, text, tokens, seed, times)
        times["bare"] += bare.replay(written, len(text))
        times["local"] += local_tokens(edge, text, tokens, seed)
    return {part: median(spans) / 1e3 for part, spans in times.items()}


def sprint(loaded: Bundle, address: str, text: list[int], tokens: int, rounds: int) -> float:
    """Microseconds of a token in `sprint`, the median over the rounds, without those of waiting for the target."""
    spans = []
    with Edge(address, bundle=loaded, memory=False, max_tokens=tokens, on_outage="wait") as edge:
        for seed in range(rounds):
            usage = edge.generate(text, seed=seed).usage
            waited = usage.times.waited_ms
            spans.append(1e3 * (usage.times.total_ms - waited) / usage.tokens)
    return median(spans)


def write_timed(
    draft: Draft, verifier, text: list[int], tokens: int, seed: int, times: dict[str, list[int]]
) -> list[int]:
    """Write `tokens` tokens after `text`, each part of each timed; returns all that the draft has read."""
    sampling = Sampling(seed=seed)
    sampler = Sampler(sampling)
    *text, token = text
    draft.feed(text)
    for _ in range(tokens):
        begin = perf_counter_ns()
        step = draft.feed([token])
        fed = perf_counter_ns()
        draw = sampler.draw(step.ids, step.logits, draft.length, step.log_normaliser, step.every)
        drawn = perf_counter_ns()
        verifier.doubt(step, draw, sampling.temperature, 0)
        doubted = perf_counter_ns()
        verifier._run(verifier._binding)  # the head once more, without the features
        times["head"].append(perf_counter_ns() - doubted)
        times["verify"].append(doubted - drawn)
        times["draw"].append(drawn - fed)
        times["feed"].append(fed - begin)
        text.append(token)
        token = draw.token
    return text


def beginning(bundle: Bundle) -> list[int]:
    """`START` ids or so to go on from: a story's, so that it does not end at once; the next tokens would be cold ones.

    Of a draft that knows nothing they are from all over the vocabulary.
    """
    if not bundle.manifest.end_ids:
        return [7919 * i % bundle.manifest.vocabulary for i in range(1, START + 1)]
    story = bundle.encode(STORIES[0])
    return story + Edge(bundle=bundle).generate(story, seed=1, max_tokens=START).token_ids


def local_tokens(edge: Edge, text: list[int], tokens: int, seed: int) -> list[int]:
    """Nanoseconds for each token of `local` mode, everything included, after `text`."""
    with edge.stream(text, seed=seed, max_tokens=tokens) as stream:
        clock = [perf_counter_ns() for _ in stream]
    return [after - before for before, after in pairwise(clock)]


def random_bundle(shape: str, dtype: str, tokenizer: Path, directory: Path) -> Path:
    """A bundle with a random Llama of a shape such as "256x2x640": hidden, layers, feed-forward.

    It knows nothing, so all candidates survive and drawing costs more than with a trained draft.
    """
    from cloud_target.export.bundle import make_bundle
    from cloud_target.training.pretrain import Shape

    hidden, layers, feed_forward = map(int, shape.split("x"))
    heads = hidden // 64
    kv_heads = next(n for n in range(max(heads // 2, 1), 0, -1) if heads % n == 0)
    source, out = directory / f"{shape}-{dtype}", directory / f"{shape}-{dtype}.bundle"
    model = Shape(hidden, layers, feed_forward, kv_heads).build(4096)
    # At their first size the logits would hardly differ, and 8 bits would be refused for it.
    model.model.embed_tokens.weight.data *= 6
    model.save_pretrained(source)
    (source / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    make_bundle(source, out, dtype=dtype, end_ids=[])
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=typed_path, default=POCKET, help="to measure (default: the embedded one)")
    parser.add_argument(
        "--target",
        type=typed_place,
        help="also measure what a token in `sprint` costs the device, waiting for this target not counted: a "
        f"directory, a hub id, or {TARGET!r} for the embedded one",
    )
    add_documents(parser, "to go on from the first opening instead of from ids all over the vocabulary")
    parser.add_argument(
        "--shape",
        nargs="+",
        default=[],
        help="random drafts instead, with the bundle's tokenizer: HIDDENxLAYERSxFEED_FORWARD",
    )
    parser.add_argument(
        "--dtype", nargs="+", default=["float32", "int8"], help="of the random drafts (default: float32 int8)"
    )
    parser.add_argument("--tokens", type=count, default=200, help="tokens a round (default: %(default)s)")
    parser.add_argument("--rounds", type=count, default=5, help="over which medians are taken (default: %(default)s)")
    arguments = parser.parse_args()
    parts = [*PARTS, "ratio"] + ["sprint"] * bool(arguments.target)
    print(f"{'µs a token':28}" + "".join(f"{part:>9}" for part in parts))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        address = ""
        if arguments.target:
            address = stack.enter_context(local_target("--target", arguments.target, "--threads", "1")).address
        bundles = [
            random_bundle(shape, dtype, arguments.bundle / "tokenizer.json", Path(scratch))
            for shape in arguments.shape
            for dtype in arguments.dtype
        ]
        for bundle in bundles or [arguments.bundle]:
            loaded = Bundle.load(bundle)
            text = prompts_of(arguments, loaded.tokenizer, 1)[0] if arguments.documents else beginning(loaded)
            found = measure(loaded, bundle, text, arguments.tokens, arguments.rounds)
            found["ratio"] = found["local"] / found["bare"]
            if address:
                found["sprint"] = sprint(loaded, address, text, arguments.tokens, arguments.rounds)
            row = "".join(f"{value:9.2f}" if part == "ratio" else f"{value:9.1f}" for part, value in found.items())
            print(f"{bundle.name.removesuffix('.bundle'):28}{row}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
