"""Rows whose errors are known to follow from some of their features."""

from __future__ import annotations

import numpy as np

from cloud_target.training.label import Rows
from shared.features import NAMES, SCALARS

HIDDEN = 8


def made_up_rows(documents: int, each: int, seed: int) -> Rows:
    """Rows whose errors follow from the entropy and one hidden feature, each document being harder or easier."""
    random = np.random.default_rng(seed)
    count = documents * each
    document = np.repeat(np.arange(documents, dtype=np.int32), each)
    features = random.normal(size=(count, SCALARS + HIDDEN)).astype(np.float32)
    logit = (
        2 * features[:, NAMES.index("entropy")] + features[:, SCALARS] ** 2 + random.normal(size=documents)[document]
    )
    strict = random.random(count) < 1 / (1 + np.exp(2.5 - logit))
    zeros = np.zeros(count, np.float32)
    return Rows(
        features=features,
        off_typical=strict & (random.random(count) < 0.3),
        off_strict=strict,
        unlikely=strict,
        repeating=np.zeros(count, bool),
        document=document,
        position=np.tile(np.arange(each, dtype=np.int32), documents),
        token=np.zeros(count, np.int32),
        second=np.ones(count, np.int32),
        third=np.ones(count, np.int32),
        own=np.ones(count, np.int32),
        temperature=zeros + np.float32(0.7),
        top_p=zeros + np.float32(0.9),
        nll=zeros,
        own_nll=zeros,
        tv=zeros,
    )
