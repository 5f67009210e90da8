"""Is `exact` the target's own text?"""

from __future__ import annotations

from benchmarks.real_pair.plan import Pair
from benchmarks.real_pair.questions import some
from benchmarks.tables import markdown_table
from benchmarks.workers import Place
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Mode

TITLE = "Is `exact` the target's own text?"
TEMPERATURES = (0.0, 0.7, 1.0)
Job = tuple[list[int], Settings]


def measure(pair: Pair) -> str:
    """Every question in both modes at every temperature."""
    prompts, most = [pair.prompt(question) for question in some(pair.plan.equal)], pair.plan.equal_tokens
    jobs = [
        (ids, Settings(temperature=heat, top_p=0.9 if heat == 0.7 else 1.0, seed=seed, max_tokens=most))
        for heat in TEMPERATURES
        for seed, ids in enumerate(prompts)
    ]
    found = pair.workers.run(both, jobs, 2 * len(jobs) * most)
    rows = []
    for heat in TEMPERATURES:
        own = [texts for (_, settings), texts in zip(jobs, found, strict=True) if settings.temperature == heat]
        equal, tokens = sum(exact == cloud for exact, cloud in own), sum(len(cloud) for _, cloud in own)
        rows.append([f"{heat:g}", str(len(own)), str(tokens), str(equal)])
    return markdown_table(["temperature", "texts", "tokens", "equal"], rows)


def both(place: Place, job: Job) -> tuple[list[int], list[int]]:
    """The token ids of one answer in `exact` and in `cloud`."""
    ids, settings = job
    with Edge(place.address, bundle=place.bundle, memory=False, on_outage="wait") as edge:
        exact, cloud = (
            edge.generate(ids, **vars(settings) | {"mode": mode}).token_ids for mode in (Mode.EXACT, Mode.CLOUD)
        )
    place.count(len(exact) + len(cloud))
    return exact, cloud
