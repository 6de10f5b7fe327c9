"""HTTP transport of the provider adapters; independent of any protocol."""
