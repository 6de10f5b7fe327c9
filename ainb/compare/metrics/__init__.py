"""Metrics of a comparison: of labels and numbers, kappa, class scores, intervals and tests."""
