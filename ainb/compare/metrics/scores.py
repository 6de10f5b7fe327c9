"""Classification metrics from a table of counts: precision, recall and F1 of each class, and macro F1."""

from __future__ import annotations

import numpy as np


def class_scores(counts: np.ndarray, size: int) -> np.ndarray:
    """Precision, recall, F1 and support of each class.

    Args:
        counts: Array of shape (r, c) with r, c >= `size`: rows by truth, columns by answer. Columns from
            `size` on count answers outside the classes of the truth and rows without an answer; they lower
            recall.
        size: Number of classes; the first rows and columns, in the same order.

    Returns:
        Float array of shape (size, 4): precision (NaN if the class was never answered), recall (NaN without
        support), F1 (NaN if both are), support.

    Source: the definitions of ``sklearn.metrics.precision_recall_fscore_support``, with NaN for 0 / 0.
    """
    right = np.diag(counts)[:size].astype(float)
    answered = counts.sum(axis=0)[:size].astype(float)
    support = counts.sum(axis=1)[:size].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([right / answered, right / support, 2 * right / (answered + support), support])


def macro_f1(counts: np.ndarray, size: int) -> float:
    """Mean F1 of the classes that occur in the truth; NaN where there are none.

    Args:
        counts: As for `class_scores`.
        size: As for `class_scores`.

    Source: ``sklearn.metrics.f1_score(…, labels=classes of the truth, average="macro")``.
    """
    scores = class_scores(counts, size)
    f1 = scores[scores[:, 3] > 0, 2]
    return float(f1.mean()) if len(f1) else float("nan")
