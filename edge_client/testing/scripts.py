"""Scripts: models that are plain functions of the text, for a scripted target and, as probabilities, a draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Ids of a text, at least one -> the next token's logits, ``float32 [vocabulary]``, all finite.
Script = Callable[[Sequence[int]], np.ndarray]

# A logit so far above the others that no temperature and no noise lets another token win.
_CERTAIN = 1e4


def random_script(vocabulary: int, seed: int = 0, memory: int = 2, spread: float = 2.0) -> Script:
    """A script of logits that look random, the same for the same last tokens: text without sense that never changes.

    Args:
        vocabulary: number of token ids.
        seed: another one, another text.
        memory: how many of the last tokens the logits hang on.
        spread: standard deviation of the logits; the smaller, the less sure the model is.
    """

    def logits(text: Sequence[int]) -> np.ndarray:
        return np.random.default_rng([seed, *text[-memory:]]).normal(0.0, spread, vocabulary).astype(np.float32)

    return logits


def blurred(script: Script, spread: float, seed: int = 1, memory: int = 2) -> Script:
    """A script that is like another, as a draft is like its target.

    Args:
        script: the other.
        spread: standard deviation of the difference between their logits; 0 for none.
        seed, memory: of the difference, see `random_script`.
    """

    def logits(text: Sequence[int]) -> np.ndarray:
        sharp = script(text)
        return sharp + random_script(len(sharp), seed, memory, spread)(text)

    return logits


def replies(vocabulary: int, answers: Mapping[tuple[int, ...], Sequence[int]], end_id: int) -> Script:
    """A script that says what it is told to, and nothing else.

    Args:
        vocabulary: number of token ids.
        answers: ids of prompts and of what is said after each; where several prompts fit, that of the longest.
            The prompt of `Edge.chat` is ``render_chat(messages)``.
        end_id: said after the answer, and instead of one where no prompt fits or the text has left the answer.
    """
    longest_first = sorted(((list(p), [*p, *a]) for p, a in answers.items()), key=lambda pair: -len(pair[0]))

    def logits(text: Sequence[int]) -> np.ndarray:
        known = list(text)
        whole = next((whole for prompt, whole in longest_first if known[: len(prompt)] == prompt), [])
        goes_on = len(known) < len(whole) and whole[: len(known)] == known
        row = np.zeros(vocabulary, np.float32)
        row[whole[len(known)] if goes_on else end_id] = _CERTAIN
        return row

    return logits


def probabilities(script: Script) -> Callable[[Sequence[int]], np.ndarray]:
    """The same model as probabilities at temperature 1, ``float64 [vocabulary]``: what a `ScriptedDraft` takes."""

    def distribution(text: Sequence[int]) -> np.ndarray:
        logits = script(text).astype(np.float64)
        p: np.ndarray = np.exp(logits - np.logaddexp.reduce(logits))
        return p

    return distribution
