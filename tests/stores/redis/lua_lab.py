"""The Lua scripts of the shared state on a real server, with a clock that tests control.

The scripts are those of the package except for the line that reads the server's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import redis
from hypothesis import HealthCheck, Phase, settings

from ainb.stores.redis.script import Script

ASKS_TIME = "redis.call('TIME')"
# Seconds and microseconds, as in the reply of TIME.
TOLD_TIME = "{string.match(redis.call('GET', 'lab:clock'), '(%d+) (%d+)')}"
START_US = 1_000_000_000_000
MICRO = 1_000_000
# Remove the expiry times of keys on the server and return them.
TAKE_EXPIRY = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PERSIST', key); found[#found + 1] = key; found[#found + 1] = left end
end
return found
"""


@dataclass(frozen=True)
class LuaMutant:
    """A seeded fault: `old` occurs at most once in each script, and in at least one."""

    old: str
    new: str
    label: str


def scripts_of(module: ModuleType, mutant: LuaMutant | None = None) -> dict[str, str]:
    """The scripts of a module by name; with `mutant`, with its fault."""
    texts = {name: item.text for name, item in vars(module).items() if isinstance(item, Script)}
    if mutant is None:
        return texts
    counts = [text.count(mutant.old) for text in texts.values()]
    if max(counts) != 1:
        raise LookupError(
            f"{mutant.old!r} stands {max(counts)} times in a script; a mutant needs exactly one"
        )
    return {name: text.replace(mutant.old, mutant.new) for name, text in texts.items()}


class Lab:
    """A server under virtual time.

    Args:
        server: A running `Server`, which the lab empties.
    """

    def __init__(self, server):
        self.client = redis.Redis(port=server.port, decode_responses=True)
        self.take_expiry = self.client.register_script(TAKE_EXPIRY)
        self.loaded = {}

    def reset(self):
        self.client.flushdb()
        self.expiries = {}
        self.now_us = START_US
        self._set_clock()

    @property
    def now(self):
        """The time in seconds, computed as in the scripts."""
        return self.now_us // MICRO + (self.now_us % MICRO) / 1e6

    def step(self, seconds):
        self.now_us += round(seconds * MICRO)
        self._set_clock()
        gone = [key for key, at in self.expiries.items() if at <= self.now]
        if gone:
            self.client.delete(*gone)
        for key in gone:
            del self.expiries[key]

    def run(self, text, keys, *args):
        return self._script(text)(keys=keys, args=args)

    def run_with_expiry(self, text, keys, *args, pattern):
        """`run`, and move the expiry of keys to virtual time, in whole seconds to exclude the running
        time."""
        found = self.run(text, keys, *args)
        fresh = self.take_expiry(args=[pattern])
        for key, left_ms in zip(fresh[::2], fresh[1::2], strict=True):
            self.expiries[key] = self.now + round(left_ms / 1000)
        return found

    def _script(self, text):
        if text not in self.loaded:
            assert text.count(ASKS_TIME) <= 1
            self.loaded[text] = self.client.register_script(text.replace(ASKS_TIME, TOLD_TIME))
        return self.loaded[text]

    def _set_clock(self):
        self.client.set("lab:clock", "{} {}".format(*divmod(self.now_us, MICRO)))


def thorough(examples, *, shrink=True):
    """Settings of a property test with this number of examples."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
    )
