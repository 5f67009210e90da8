"""Which products of a draft's graph a step is spent on, by onnxruntime's own profile, one thread.

Of each node its shortest run counts: whatever else a machine does makes them longer only.

python -m benchmarks.step_nodes                       # the embedded draft
python -m benchmarks.step_nodes --bundle my-bundle --steps 200
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from onnxruntime import InferenceSession, SessionOptions

from benchmarks.edge_step import START, Bare
from benchmarks.local_target import run_main
from cloud_target.options.values import count
from edge_client.bundles.pocket import POCKET
from shared.manifest import read_manifest
from shared.paths import typed_path


def nodes(bundle: Path, steps: int) -> dict[str, float]:
    """Microseconds of each node of a step of one token at its shortest, by its name and operator, the longest first."""
    with tempfile.TemporaryDirectory() as scratch:
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling, options.profile_file_prefix = True, str(Path(scratch, "profile"))
        session = InferenceSession(str(bundle / "draft.onnx"), options, providers=["CPUExecutionProvider"])
        bare = Bare(session, read_manifest(bundle), START)
        for _ in range(steps):
            bare.run()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spans: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spans[f"{event['name'].removesuffix('_kernel_time')} ({event['args']['op_name']})"].append(event["dur"])
    found = {name: min(each) for name, each in spans.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=typed_path, default=POCKET, help="default: the embedded one")
    parser.add_argument("--steps", type=count, default=100, help="default: %(default)s")
    parser.add_argument("--most", type=count, default=8, help="nodes that are shown (default: %(default)s)")
    arguments = parser.parse_args()
    found = nodes(arguments.bundle, arguments.steps)
    whole = sum(found.values())
    print(f"{'node':40} {'µs':>8} {'share':>6}")
    for name, span in list(found.items())[: arguments.most]:
        print(f"{name:40} {span:8.1f} {span / whole:6.3f}")
    print(f"{'all':40} {whole:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
