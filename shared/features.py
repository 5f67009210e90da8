"""What the verifier sees of one draft step: the same function in training and on the device.

Everything here is free on the edge, and unlike the paper's head it includes the drawn token.
"""

from __future__ import annotations

import math

import numpy as np

from shared.draw import MARGIN_LIMIT, Draw

LARGEST = 4
NAMES = (
    "log_probability",  # ln of the draft's probability of x at temperature 1, before truncation
    "log_q",  # ln q(x), after temperature and truncation
    *(f"largest_{i}" for i in range(LARGEST)),  # the largest log-probabilities at temperature 1
    "entropy",  # of the draft at temperature 1, nats
    "margin",  # between the two largest log-probabilities
    "rank",  # ln(1 + rank of x)
    "log_survivors",  # ln of how many tokens survived truncation
    "noisy_margin",  # how close the draft's own choice was
    "rival_gap",  # the same, where a token that truncation left out may come second too
    "rival_log_probability",  # ln of the draft's probability of that second token at temperature 1
    "temperature",
)
SCALARS = len(NAMES)
_COUNTS = 4096
_LOG_COUNT = np.log(np.arange(1, _COUNTS + 1, dtype=np.float64)).tolist()


def write_features(
    out: np.ndarray,
    hidden: np.ndarray,
    logits: np.ndarray,
    log_normaliser: float,
    entropy: float,
    draw: Draw,
    temperature: float,
) -> None:
    """Fill one row of verifier inputs in place.

    Args:
        out: ``float32 [SCALARS + hidden]``.
        hidden: the draft's last hidden state after the final norm, ``float32 [hidden]``.
        logits: raw logits of the candidates, descending, ``float32 [K]``, K at least `LARGEST`.
        log_normaliser: log-sum-exp of all raw logits, nats.
        entropy: of the draft's whole distribution at temperature 1, nats.
        draw: the token drawn.
        temperature: in use.
    """
    largest = [logit - log_normaliser for logit in logits[:LARGEST].tolist()]
    # One write of all scalars: each small write costs about as much as all of them.
    out[:SCALARS] = (
        draw.logit - log_normaliser,
        draw.log_q,
        *largest,
        entropy,
        min(largest[0] - largest[1], MARGIN_LIMIT),
        _LOG_COUNT[draw.index] if draw.index < _COUNTS else math.log1p(draw.index),
        _LOG_COUNT[draw.survivors - 1] if draw.survivors <= _COUNTS else math.log(draw.survivors),
        draw.noisy_margin,
        draw.rival_gap,
        draw.rival_logit - log_normaliser,
        temperature,
    )
    out[SCALARS:] = hidden
