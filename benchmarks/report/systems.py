"""What is compared: a line a system. The baselines follow ours."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.report.asker import UNSTEERED
from edge_client.settings import Settings
from shared.config import Coupling, Criterion, Mode

CLOUD = "cloud"
PAPER = "SPRINTER, the paper's"
COLOCATED = "cloud that speculates"
# Scores that choose whom to ask, by the name of the system that does.
ASKERS = {"entropy stop": "entropy of the draft", "random asking": "chance"}
# The paper's own: a threshold on its verifier, and most drafted tokens in a row (section 4 of arXiv 2502.04557).
PAPERS_THRESHOLD, PAPERS_CAP = 0.5, 20
STRICT = 0.05


@dataclass(frozen=True)
class System:
    """One way of writing a text.

    Attributes:
        name: for tables and plots.
        settings: of the edge.
        words: what it is, for the page.
        is_ours: whether it is a mode of Tandem with settings that people use.
        score: in the place of the verifier, as `Asker` takes it; "" for none.
        tunes: what is chosen for it on other prompts: "window", "threshold", or "" for nothing.
        is_colocated: the edge stands beside the target, and streams what it writes.
    """

    name: str
    settings: Settings
    words: str
    is_ours: bool = True
    score: str = ""
    tunes: str = ""
    is_colocated: bool = False


def systems_of(base: Settings) -> list[System]:
    """All of them; `base` has sampling and length."""

    def sprint(criterion: Criterion, budget: float) -> Settings:
        return replace(base, mode=Mode.SPRINT, criterion=criterion, budget=budget)

    def classic(coupling: Coupling) -> System:
        settings = replace(base, mode=Mode.EXACT, coupling=coupling)
        words = (
            f"speculative decoding, lossless: a window of guesses, a round trip, the next window; {coupling} coupling"
        )
        return System(f"fixed window, {coupling}", settings, words, is_ours=False, tunes="window")

    unsteered = sprint(base.criterion, UNSTEERED)
    paper = replace(unsteered, coupling=Coupling.RESIDUAL, window=PAPERS_CAP)
    usual = Settings()
    return [
        System(
            f"sprint, {usual.criterion} {100 * usual.budget:g} %",
            sprint(usual.criterion, usual.budget),
            "the default of mode `sprint`",
        ),
        System(
            f"sprint, strict {100 * STRICT:g} %",
            sprint(Criterion.STRICT, STRICT),
            "of the tokens at most that share is not the target's own",
        ),
        *(
            System(
                f"auto, {settings.criterion} {100 * settings.budget:g} %",
                replace(settings, mode=Mode.AUTO),
                "`sprint`, `exact` or `cloud` within that budget, by what is measured; a device begins without any "
                "measurement in each place",
            )
            for settings in (sprint(usual.criterion, usual.budget), sprint(Criterion.STRICT, STRICT))
        ),
        System("exact", replace(base, mode=Mode.EXACT), "the target's own text, the draft's tokens as guesses"),
        System("local", replace(base, mode=Mode.LOCAL), "the draft alone, without a target"),
        System(CLOUD, replace(base, mode=Mode.CLOUD), "the plain stream: the target writes alone"),
        classic(Coupling.GUMBEL),
        classic(Coupling.RESIDUAL),
        System(
            PAPER,
            paper,
            f"its verifier (linear in the hidden state, threshold {PAPERS_THRESHOLD}, at most {PAPERS_CAP} tokens in a "
            "row), its coupling (residual), waiting for each verdict",
            is_ours=False,
            score=PAPER,
        ),
        *(
            System(
                name,
                unsteered,
                f"our loop, which asks by {score}, with the threshold at which it diverges as much as our default",
                is_ours=False,
                score=score,
                tunes="threshold",
            )
            for name, score in ASKERS.items()
        ),
        System(
            COLOCATED,
            replace(base, mode=Mode.EXACT),
            "mode `exact` beside the target, with the same draft; it streams what is settled (as in arXiv 2606.25091)",
            is_ours=False,
            is_colocated=True,
        ),
    ]
