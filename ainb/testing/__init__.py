"""Fakes for clocks, randomness and faults; shipped, so that users can test their own code with them."""

from ainb.testing.fakes import FakeClock, Script, Step, VirtualTimeLoop, run_virtual, script

__all__ = ["FakeClock", "Script", "Step", "VirtualTimeLoop", "run_virtual", "script"]
