"""The page of the report: prose that holds whatever the numbers are, and the numbers of one run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.network.profiles import PROFILES
from benchmarks.peers.rows import LEGEND, table
from benchmarks.peers.run import PEERS
from benchmarks.report.figures import Figures
from benchmarks.report.plan import SIMULATED, Plan
from benchmarks.report.plots import asking_plot, parts_plot, speed_plot, work_plot
from benchmarks.report.run import LOOPBACK, Results
from benchmarks.report.systems import CLOUD, COLOCATED
from benchmarks.report.tables import asking_table, by_link, parts_table, price_table, step_table
from benchmarks.tables import provenance
from edge_client.settings import Settings
from shared.config import Criterion

PLOTS = "benchmarks"  # the folder beside the page
_PACKAGES = ("onnxruntime", "torch", "transformers", "grpcio", "numpy")
_TARGETS = {0.0: "The target as it is", SIMULATED: f"Simulated step of {SIMULATED:g} ms"}
_SIMULATION = f"""\
A pass of the embedded target takes some milliseconds. For larger ones stands a simulation: the same target, but every
forward pass lasts at least {SIMULATED:g} ms, because what is left of them is slept away. All that was measured with it
is labelled as simulated."""
_SPEED = """\
Speed over that of the plain stream of the cloud on the same link: the median over the prompts of the ratio of times a
token. The links are those of `python -m benchmarks.network`, a relay in a process of its own; both sides, the relay and
what measures share one machine. `wifi` loses packets and `mobile` is now and then without a signal, so those vary more
than the others. Beside it the time from the request until the first token that stays, the median, in milliseconds."""
_ASKING = """\
Asking costs time, not asking leaves tokens that are not the target's. Ours at several budgets, steered by the audits,
and fixed thresholds on other scores in the same loop; without a link, on the prompts that choices are made on. So
little text says little of small rates: what each came to over a link is in the tables of what the target does."""
_PARTS = """\
Means over all tokens, over `{link}`: what the device computes, and what it waits for. What it computes while an answer
is under way is not waited for. Of the waiting, as much as the target has computed counts as for the target, and what is
left as for the network."""
_WORK = """\
What each speed costs, over `{link}`: forward passes of the target and the time that they take; CPU time of both sides,
a proxy of energy (the cloud's is its process's, and that of an edge that stands beside it); payload without the
prompt's; drafted tokens that were not shown ("wasted"); and the most memory that the processes have held. Then how near
the text is to the target's own: with fixed windows every guess counts as asked; with the residual coupling the text is
distributed as the target's own, and is another one."""
_PEERS = """\
Beside ours over `{link}`, to the target as it is, in the same run and on prompts of the same kind, but greedily, as not
all of them sample. `python -m benchmarks.peers` measures them over other links, and its help says how to get them."""
_STEP = """\
The plain stream without a relay: the time of a token, of it the forward pass, as counted around the model; what the
target says that it queued and computed; and what is left outside the pass: the service, gRPC, and the device."""


def page(results: Results, plan: Plan, base: Settings, sources: str) -> dict[str, str]:
    """The files of the report by name: the page, and the plots that it shows.

    Args:
        sources: where the prompts are from, in words.
    """
    plots: dict[str, str] = {}
    steps = list(dict.fromkeys(one.step_ms for one in results.figures))
    over = [one for one in results.figures if one.link != LOOPBACK]
    link = plan.typical_link
    there = {_TARGETS[step]: [one for one in over if one.link == link and one.step_ms == step] for step in steps}
    parts = ["# Benchmarks", _head(results, plan, base, sources), "## What is compared", _systems(results), _SIMULATION]

    def show(name: str, svg: str, words: str) -> str:
        plots[f"{PLOTS}/{name}.svg"] = svg
        return f"![{words}](./{PLOTS}/{name}.svg)"

    parts += ["## Speed over the cloud's stream", _SPEED]
    for step in steps:
        title, figures = _TARGETS[step], [one for one in over if one.step_ms == step]
        lossy = [name for name, profile in PROFILES.items() if profile.loss]
        parts += [
            f"### {title}",
            show(f"speed{'-simulated' if step else ''}", speed_plot(figures, lossy, title), f"Speed. {title}"),
            "Times the cloud's stream:",
            by_link(figures, lambda one: f"{one.speed_up:.2f}"),
            "Until the first token that stays, ms:",
            by_link(figures, lambda one: f"{one.first_ms:.1f}"),
            _against_colocated(figures),
        ]
    parts += [
        "## Whom to ask",
        _ASKING,
        show("asking", asking_plot(results.curves, list(Criterion)), "Ask rate against divergence"),
        asking_table(results.curves),
        "## Where a token's time goes",
        _PARTS.format(link=link),
        show("parts", parts_plot(there), "A token's time by part"),
    ]
    for title, figures in there.items():
        parts += [f"### {title}: parts", parts_table(figures)]
    parts += ["## What the target does for it", _WORK.format(link=link)]
    for (title, figures), step in zip(there.items(), steps, strict=True):
        plot = show(f"work{'-simulated' if step else ''}", work_plot(figures, title), f"Work. {title}")
        parts += [f"### {title}: work", plot, price_table(figures)]
    parts += ["## Other people's systems", *_peers(results, link)]
    parts += ["## The stream's own step", _STEP, step_table([one for one in results.figures if one.link == LOOPBACK])]
    parts += [f"All figures of all places are in [figures.json](./{PLOTS}/figures.json)."]
    return {"benchmarks.md": "\n\n".join(parts) + "\n", **plots}


def _head(results: Results, plan: Plan, base: Settings, sources: str) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return f"""\
One run wrote this page, its plots and its figures: {provenance("benchmarks")}; {versions}. `make bench`
makes them anew.

Draft {results.draft}, target {results.target}; temperature {base.temperature:g}, top-p {base.top_p:g}, up to
{plan.tokens} tokens a text, prompts from {sources}. Thresholds, windows and the paper's verifier were chosen and fitted
on other openings than those that figures are of. In each place there are up to {plan.prompts} texts a mode,
{plan.simulated} with the simulated step; baselines write every third, and where {plan.minutes:g} minutes would not do
there are fewer. A promise begins anew in each place."""


def _systems(results: Results) -> str:
    return "\n".join(f"- **{system.name}**: {system.words}." for system in results.systems)


def _peers(results: Results, link: str) -> list[str]:
    if not results.peers:
        return [f"None was measured: {results.no_peers}."]
    shown = {row.system for row in results.peers}
    words = "\n".join(f"- **{peer.name}**: {peer.words}." for peer in PEERS if peer.name in shown)
    return [_PEERS.format(link=link), words, table(results.peers), LEGEND]


def _against_colocated(figures: Sequence[Figures]) -> str:
    """Where each of ours is faster than a cloud that speculates by itself."""
    other = {one.link: one.speed_up for one in figures if one.system == COLOCATED}
    sentences = []
    for name in dict.fromkeys(one.system for one in figures if one.is_ours and one.passes and one.system != CLOUD):
        links = [one.link for one in figures if one.system == name and one.speed_up > other[one.link]]
        where = "on no link" if not links else "on every link" if len(links) == len(other) else f"on {', '.join(links)}"
        sentences.append(f"{name}: {where}")
    return (
        f"Faster, by these medians, than a cloud that speculates by itself with the same draft: {'; '.join(sentences)}."
    )
