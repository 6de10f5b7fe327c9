"""Fakes for tests, shipped for users too: a clock, an event loop with virtual time, scripted models.

`contract` contains the tests that every provider adapter must pass.
"""

from ainb.testing.clock import FakeClock
from ainb.testing.faults import Script, Step, script
from ainb.testing.loop import VirtualTimeLoop, run_virtual

__all__ = ["FakeClock", "Script", "Step", "VirtualTimeLoop", "run_virtual", "script"]
