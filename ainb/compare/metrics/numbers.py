"""Metrics of numeric answers against numeric truth."""

from __future__ import annotations

import math

import numpy as np


def mean_absolute_error(truth: np.ndarray, answers: np.ndarray) -> float:
    """Mean of the absolute errors; NaN without rows. Arrays of shape (n,)."""
    return float(np.abs(answers - truth).mean()) if len(truth) else math.nan


def root_mean_squared_error(truth: np.ndarray, answers: np.ndarray) -> float:
    """Root of the mean of the squared errors; NaN without rows. Arrays of shape (n,)."""
    return float(np.sqrt(np.square(answers - truth).mean())) if len(truth) else math.nan


def pearson(truth: np.ndarray, answers: np.ndarray) -> float:
    """Pearson's correlation; NaN with fewer than two rows, or where one side is constant.

    Arrays of shape (n,).

    Source: ``scipy.stats.pearsonr``.
    """
    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(answers) == 0:  # noqa: PLR2004 - a correlation needs two points
        return math.nan
    return float(np.corrcoef(truth, answers)[0, 1])


def spearman(truth: np.ndarray, answers: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN as for `pearson`. Arrays of shape (n,).

    Source: ``scipy.stats.spearmanr``.
    """
    return pearson(mean_ranks(truth), mean_ranks(answers))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank.

    Array of shape (n,), as ``scipy.stats.rankdata`` gives it.
    """
    import pandas as pd

    return pd.Series(values).rank().to_numpy()
