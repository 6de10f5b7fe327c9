"""Rate limit: requests, tokens and calls in flight per provider, model and account."""
