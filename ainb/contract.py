"""Contract tests for provider adapters (re-export of `ainb.testing.contract`)."""

from ainb.testing.contract import AdapterContract

__all__ = ["AdapterContract"]
