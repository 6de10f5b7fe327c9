"""Fakes for clocks, randomness and faults; shipped, so that users can test their own code with them."""

from ainb.testing.clock import FakeClock
from ainb.testing.faults import Script, Step, script
from ainb.testing.loop import VirtualTimeLoop, run_virtual

__all__ = ["FakeClock", "Script", "Step", "VirtualTimeLoop", "run_virtual", "script"]
