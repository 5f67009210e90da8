"""A scripted draft and a scripted target that agree most of the time, and the real loop between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.testing.in_process import InProcessTarget
from edge_client.decoding.constraint import Constraint
from edge_client.decoding.decoder import draft_and_ask, tell
from edge_client.decoding.drafter import Drafter
from edge_client.decoding.led import Guesses, let_the_target_write
from edge_client.decoding.policy import Local, Sprint
from edge_client.decoding.questions import Questions
from edge_client.decoding.record import Record
from edge_client.decoding.text import Text
from edge_client.decoding.tree import Tree
from edge_client.decoding.windows import guess_and_judge
from edge_client.promise.feedback import Feedback, Gate
from edge_client.promise.learning import Learner
from edge_client.target.client import TargetClient
from edge_client.target.transport import Transport
from edge_client.testing import LoopbackTransport, ManualClock
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import of_regex
from shared.sampling import Sampler
from shared.steering.budget import Budget
from shared.stopping import Stopper
from tests.edge_client.clients import client_of
from tests.shared.grammar.letters import letters


class Letters:
    """Decodes token i as the i-th letter of the alphabet."""

    def push(self, token: int) -> str:
        return chr(ord("a") + token)

    def flush(self) -> str:
        return ""


@dataclass(frozen=True)
class Unsteered:
    """A budget that nothing moves."""

    threshold: float = 0.5


class Pair:
    """A target whose logits are a seeded function of the last two tokens, and a draft that is a blurred copy.

    Args:
        vocabulary: token ids.
        blur: standard deviation of the difference of the two models' logits.
    """

    def __init__(self, vocabulary: int = 6, blur: float = 0.7, context: int = 96, seed: int = 0) -> None:
        self.vocabulary, self.context = vocabulary, context
        self._blur, self._seed = blur, seed
        self._cache: dict[tuple[int, ...], np.ndarray] = {}
        self.grammars = GrammarEngine(letters(vocabulary), vocabulary)
        self.cloud = InProcessTarget(
            lambda: ScriptedEngine(self.target_logits, vocabulary, context=context, tokenizer=letters(vocabulary))
        )
        self.client: TargetClient = client_of(LoopbackTransport(self.cloud))

    def target_logits(self, text: Iterable[int]) -> np.ndarray:
        """``float32 [vocabulary]``."""
        return self._logits(tuple(text)[-2:], 0)

    def draft_logits(self, text: Iterable[int]) -> np.ndarray:
        """``float32 [vocabulary]``."""
        recent = tuple(text)[-2:]
        return self._logits(recent, 0) + self._blur * self._logits(recent, 1)

    def _logits(self, recent: tuple[int, ...], model: int) -> np.ndarray:
        key = (self._seed, model, *recent)
        if key not in self._cache:
            self._cache[key] = np.random.default_rng(key).normal(0, 1.3, self.vocabulary).astype(np.float32)
        return self._cache[key]

    def probabilities(self, logits: np.ndarray, sampling: Sampling) -> np.ndarray:
        """After temperature, top-k and top-p, ``float64 [vocabulary]``, the slow and plain way."""
        if sampling.temperature == 0:
            return np.eye(self.vocabulary)[int(logits.argmax())]
        weights = np.exp(logits.astype(np.float64) / sampling.temperature)
        order = np.argsort(-logits, kind="stable")[: sampling.top_k or None]
        survivors, mass = [], 0.0
        for token in order:
            survivors.append(token)
            mass += weights[token]
            if mass >= sampling.top_p * weights[order].sum():
                break
        p = np.zeros(self.vocabulary)
        p[survivors] = weights[survivors] / mass
        return p

    def write(
        self,
        mode: Mode,
        sampling: Sampling,
        prompt: Iterable[int] = (1, 2, 3),
        doubt: Callable | None = None,
        tokens: int = 12,
        window: int = 4,
        coupling: Coupling = Coupling.GUMBEL,
        end_ids: Iterable[int] = (),
        stops: Iterable[str] = (),
        told: Budget | None = None,
        bets: bool = True,
        transport: Transport | None = None,
        clock: ManualClock | None = None,
        budget: Gate | None = None,
        branches: bool = True,
        learns: bool = False,
        expression: str | None = None,
        candidates: int = 64,
    ) -> Text:
        """Write one text; `doubt` is the verifier's function, against a threshold of one half.

        With an `expression` the text matches it, in the letters of its tokens; `candidates` are those of the draft.
        `told` hears of the audits in the budget's place, and steers nothing. In `sprint` the tail is audited too.
        """
        text = Text(list(prompt), Letters(), Stopper(end_ids, stops, tokens))

        def q(ids: tuple[int, ...]) -> np.ndarray:
            logits = self.draft_logits(ids).astype(np.float64)
            return np.exp(logits - np.logaddexp.reduce(logits))

        verifier = ScriptedVerifier(doubt or always, lambda step, draw: 0.4)
        residual = coupling is Coupling.RESIDUAL
        draft = ScriptedDraft(q, self.vocabulary, self.context, candidates=candidates)
        draft.branches = branches
        feedback = Feedback(Criterion.TYPICAL, told, Learner() if learns else None) if told else None
        source = constraint = None
        if expression is not None:
            source = of_regex(expression)
            constraint = Constraint(self.grammars.compile(source), text.prompt_length, end_ids, sampling)
        criterion = Criterion.TYPICAL
        drafter = Drafter(
            draft, Sampler(sampling), verifier, criterion, feedback, keeps_q=residual, constraint=constraint
        )
        session = None
        if mode is not Mode.LOCAL:
            client = client_of(transport, clock) if transport else self.client
            session = client.session(sampling, coupling, end_ids, text.prompt_length, grammar=source)
        self.record = Record()
        listeners = [self.record, feedback] if feedback else [self.record]
        with session or nullcontext():
            match mode:
                case Mode.LOCAL:
                    events = draft_and_ask(text, drafter, Tree(drafter, Local().accepts, window), None)
                case Mode.SPRINT:
                    tree = Tree(
                        drafter, Sprint(budget or Unsteered()).accepts, window, end_ids, bets=bets and not residual
                    )
                    questions = Questions(session, text.shown, window)
                    events = draft_and_ask(text, drafter, tree, questions, listeners)
                case Mode.EXACT if residual:
                    events = guess_and_judge(text, drafter, session, window, listeners)
                case Mode.EXACT:
                    guesses = Guesses(drafter, Tree(drafter, None, end_ids=end_ids), session, window)
                    events = let_the_target_write(text, session, listeners, guesses)
                case Mode.CLOUD:
                    events = let_the_target_write(text, session, listeners)
            for _ in events:
                pass
            if mode is Mode.SPRINT:
                tail = questions.finish(text, 1.0)
                for answer in questions.take_effect():
                    tell(listeners, *answer)
                for listener in listeners if tail else ():
                    listener.audited(tail)
            self.meter = session.meter if session else None
            self.drafter = drafter
        self.pieces = text.pieces
        return text


def never(step, draw) -> float:
    """A verifier that accepts every token."""
    return 0.0


def always(step, draw) -> float:
    """A verifier that doubts every token."""
    return 1.0
