"""Random numbers that are the same under every version of numpy."""

from __future__ import annotations

import numpy as np


def fixed_stream(seed: int) -> np.random.RandomState:
    """Random numbers for a seed: a comparison shows the same digits and rows on every machine.

    The streams of `numpy.random.Generator` may change with numpy; those of `RandomState`, `MT19937` and
    `SeedSequence` are frozen (NEP 19).
    """
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
