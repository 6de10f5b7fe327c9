"""Random schedules of several processes through the Lua of the shared budget, beside sums kept by hand."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, seed
from hypothesis import strategies as st

from ainb.pipeline.budget.accounts import Balance, Verdict, decide
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from tests.stores.redis.lua_lab import thorough

KEYS = ["spent", "aside", "peers"]
DAY = "2026-05-04"
LIMIT = 1000

owners = st.sampled_from(["a", "b", "c"])
amounts = st.one_of(st.integers(1, 300), st.integers(250, 700))
places = st.integers(0, 3)
draws = st.tuples(st.just("draw"), owners, amounts, st.integers(0, 400))
rest = st.one_of(
    st.tuples(st.just("give_back"), owners, amounts),
    st.tuples(st.just("spend"), owners, st.integers(1, 60)),
    st.tuples(st.just("restore"), owners, amounts),
)
schedules = st.lists(
    st.one_of(
        draws,
        draws,
        st.tuples(st.just("send"), owners, amounts),
        st.tuples(st.just("step"), st.sampled_from([0.5, 4.0, LIVE_SECONDS + 1])),
        st.tuples(st.just("say_again"), st.integers(0, 2)),
        st.tuples(st.just("settle"), places, st.integers(0, 300)),
        rest,
    ),
    min_size=10,
    max_size=40,
)


class Run:
    """One schedule. A process that has something to say is heard of first, as by its heartbeat, or takes a
    new name."""

    def __init__(self, lab, scripts):
        lab.reset()
        self.lab, self.scripts = lab, scripts
        self.spent = self.passed = 0
        self.pots, self.sent, self.beats, self.reports, self.names = {}, {}, {}, [], {}
        self.serial = 0

    def script(self, name, *args):
        return list(map(int, self.lab.run(self.scripts[name], KEYS, DAY, *args).split(" ")))

    def play(self, schedule):
        for what, *words in schedule:
            getattr(self, what)(*words)
            self.compare()

    def step(self, seconds):
        self.lab.step(seconds)

    def name(self, owner):
        """The owner's name; another one where it was declared dead."""
        name = self.names.get(owner, owner)
        if name in self.beats and self.lab.client.zscore("peers", name) is None:
            assert self.script("DRAW", name, 1, 1, LIMIT, LIVE_SECONDS)[0] == -1, "the dead are given money"
            name = self.names[owner] = f"{name}+"
        self.beats[name] = self.lab.now
        self.lab.client.zadd("peers", {name: self.lab.now})
        return name

    def aside(self):
        return sum(self.pots.values()) + sum(self.sent.values())

    def fits(self, amount):
        balance = Balance(Decimal(self.spent), Decimal(self.aside()))
        return decide(balance, Decimal(LIMIT), Decimal(amount))

    def draw(self, owner, need, more):
        name = self.name(owner)
        granted, *_ = self.script("DRAW", name, need, need + more, LIMIT, LIVE_SECONDS)
        if self.fits(need) is Verdict.WAIT:
            self.bury()
        expected = need if self.fits(need) is Verdict.GRANTED else 0
        if self.spent + self.aside() + need + more <= LIMIT / 2:
            expected = need + more
        assert granted == expected
        if granted:
            self.pots[name] = self.pots.get(name, 0) + granted
            assert self.spent + self.aside() <= LIMIT

    def bury(self):
        """What the dead had sent counts as spent, and the rest comes back."""
        held = {*self.pots, *(name for name, _ in self.sent)}
        for name in [name for name in held if self.beats[name] < self.lab.now - LIVE_SECONDS]:
            self.pots.pop(name, None)
            for key in [key for key in self.sent if key[0] == name]:
                self.spent += self.sent.pop(key)

    def send(self, owner, amount):
        name = self.name(owner)
        amount = min(amount, self.pots.get(name, 0))
        if not amount:
            return
        self.serial += 1
        self.script_sent(name, self.serial, amount)
        self.reports.append((name, self.serial, amount))
        self.pots[name] -= amount
        self.sent[name, self.serial] = amount

    def script_sent(self, *words):
        self.lab.run(self.scripts["SENT"], KEYS, DAY, *words)

    def say_again(self, place):
        """A report whose answer was lost is told a second time."""
        if place < len(self.reports) and self.reports[place][:2] in self.sent:
            self.script_sent(*self.reports[place])

    def settle(self, place, cost):
        if place >= len(self.reports):
            return
        name, serial, amount = self.reports.pop(place)
        self.script("SETTLE", name, serial, cost)
        self.script("SETTLE", name, serial, cost)
        if self.sent.pop((name, serial), None) is not None:
            self.spent += cost
            self.passed += max(0, cost - amount)

    def spend(self, owner, cost):
        self.script("SPEND", self.name(owner), 0, cost)
        self.spent += cost
        self.passed += cost

    def give_back(self, owner, amount):
        name = self.name(owner)
        self.script("GIVE_BACK", name, amount)
        self.pots[name] = max(0, self.pots.get(name, 0) - amount)

    def restore(self, owner, least):
        """A process that comes back says what it holds, and knows of no more spent than there is."""
        name = self.name(owner)
        self.script("RESTORE", name, min(least, self.spent), self.pots.get(name, 0))

    def compare(self):
        _, spent, aside = self.script("LOOK")
        assert (spent, aside) == (self.spent, self.aside())
        assert spent + aside <= LIMIT + self.passed, "more than the limit, beyond what nobody had reserved"


def check_money(lab, scripts, *, examples, shrink=True):
    """All properties; an AssertionError says which schedule broke one."""

    @seed(41)
    @thorough(examples, shrink=shrink)
    @given(schedules)
    def never_past_the_limit(schedule):
        Run(lab, scripts).play(schedule)

    never_past_the_limit()
