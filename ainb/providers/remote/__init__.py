"""Parts that providers behind HTTP share: endpoint and attempt, request body, cache layout, batches."""
