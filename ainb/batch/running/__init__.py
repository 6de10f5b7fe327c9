"""Worker pool of a batch, with its concurrency, waits and stop conditions."""
