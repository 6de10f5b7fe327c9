"""Random schedules of several processes on the shared budget's Lua scripts, compared with a simple model."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, seed
from hypothesis import strategies as st

from ainb.pipeline.budget import MILLION, Balance, Verdict, decide, grant, presumed_cost
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from tests.stores.redis.lua_lab import thorough
from tests.stores.redis.lua_money_cases import KEYS, check_cases

DAY = "2026-05-04"
LIMIT = 1000

owners = st.sampled_from(["a", "b", "c"])
amounts = st.one_of(st.integers(1, 300), st.integers(250, 700))
places = st.integers(0, 3)
draws = st.tuples(st.just("draw"), owners, amounts, st.integers(0, 400))
rest = st.one_of(
    st.tuples(st.just("give_back"), owners, amounts),
    st.tuples(st.just("spend"), owners, st.integers(1, 60)),
    st.tuples(st.just("spend"), owners, st.integers(-40, -1)),
    st.tuples(st.just("restore"), owners, amounts),
    st.tuples(st.just("lose"), st.sampled_from(["spent", "aside", "spent aside"])),
)
schedules = st.lists(
    st.one_of(
        draws,
        draws,
        st.tuples(st.just("send"), owners, amounts),
        st.tuples(st.just("step"), st.sampled_from([0.5, 4.0, LIVE_SECONDS + 1])),
        st.tuples(st.just("say_again"), st.integers(0, 2)),
        st.tuples(st.just("settle"), places, st.integers(0, 300), st.sampled_from([0, 0, 10_000, 400_000])),
        rest,
    ),
    min_size=10,
    max_size=40,
)


AWAY = LIVE_SECONDS + 1
# Random schedules seldom reach the death of a process with calls in flight, and its aftermath.
DIRECTED = [
    # A process with calls and drawn money dies; another needs that money; late settlements correct the sums.
    [
        *(("draw", "a", 200, 0), ("send", "a", 40), ("settle", 0, 2, share), ("send", "a", 60)),
        *(("send", "a", 50), ("step", AWAY), ("draw", "b", 900 - late, 0)),
        *(("settle", 0, late, 0), ("settle", 0, 0, 0), ("draw", "c", 100, 0)),
    ]
    for share in (0, 10_000, 400_000)
    for late in (1, 30, 70)
] + [
    # One of its calls is a job, whose reservation counts in full.
    [
        *(("draw", "a", 300, 0), ("send", "a", 10), ("send", "a", 20), ("send", "a", 30), ("send", "a", 40)),
        *(("settle", 0, 1, 10_000), ("step", AWAY), ("draw", "b", 800, 0)),
        *(("settle", 2, 40, 0), ("settle", 0, 3, 0), ("settle", 0, 3, 0)),
    ],
    # It returns under another name, records other shares, and dies again.
    [
        *(("draw", "a", 300, 0), ("send", "a", 100), ("settle", 0, 1, 10_000), ("send", "a", 100)),
        *(("step", AWAY), ("draw", "b", 850, 0), ("give_back", "b", 850), ("draw", "a", 300, 0)),
        *(("send", "a", 100), ("send", "a", 100), ("settle", 1, 30, 400_000), ("step", AWAY)),
        *(("draw", "b", 800, 0), ("settle", 0, 9, 0), ("settle", 0, 9, 0)),
    ],
    # A report whose reply was lost is repeated, with money in the pot and with none left.
    [
        *(("draw", "a", 300, 0), ("send", "a", 100), ("say_again", 0), ("say_again", 0)),
        *(("send", "a", 200), ("say_again", 0), ("say_again", 1), ("settle", 0, 5, 0), ("draw", "b", 700, 0)),
    ],
    # All data is lost after a correction that leaves nothing spent: the next call notices it.
    [("spend", "c", 1), ("spend", "c", -1), ("lose", "spent aside"), ("draw", "a", 1, 0)],
    # Money is drawn in advance while it is free, and returned in parts.
    [
        *(("draw", "a", 200, 400), ("draw", "b", 100, 400), ("give_back", "a", 50), ("draw", "c", 20, 400)),
        *(("give_back", "b", 700), ("give_back", "a", 700), ("draw", "b", 900, 400)),
    ],
    # Lost data is restored from the process with the latest reply.
    [
        *(("draw", "a", 300, 0), ("spend", "b", 50), ("spend", "b", -20), ("lose", "spent")),
        *(
            ("send", "a", 100),
            ("lose", "aside"),
            ("settle", 0, 10, 0),
            ("lose", "spent"),
            ("draw", "c", 650, 0),
        ),
    ],
]


class Run:
    """One schedule. Before an operation, its process sends a heartbeat, under a new name if it is dead."""

    def __init__(self, lab, scripts):
        lab.reset()
        self.lab, self.scripts = lab, scripts
        self.spent = self.passed = 0
        self.pots, self.sent, self.beats, self.reports, self.names = {}, {}, {}, [], {}
        self.serial = 0
        self.told, self.worst, self.booked = {}, {}, {}

    def script(self, name, *args):
        """Run a script with the last reply to the caller, which is the first of `args`."""
        caller = args[0] if args else "c"
        epoch, known = self.told.get(caller, (0, 0))
        found = self.lab.run(self.scripts[name], KEYS, DAY, "", epoch, known, *args)
        granted, spent, aside, epoch = map(int, found.split(" "))
        self.told[caller] = epoch, spent
        return [granted, spent, aside]

    def play(self, schedule):
        for what, *words in schedule:
            getattr(self, what)(*words)
            self.compare()

    def step(self, seconds):
        self.lab.step(seconds)

    def name(self, owner):
        """The owner's name; a new one if the owner was declared dead."""
        name = self.names.get(owner, owner)
        if name in self.beats and self.lab.client.zscore("peers", name) is None:
            assert self.script("DRAW", name, 1, 1, LIMIT, 0)[0] == -1, "a dead process is granted money"
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
        mine = self.pots.get(name, 0) + sum(held for (who, _), held in self.sent.items() if who == name)
        granted, *_ = self.script("DRAW", name, need, need + more, LIMIT, mine)
        if self.fits(need) is Verdict.WAIT:
            self.bury()
        assert granted == grant(LIMIT - self.spent - self.aside(), need, need + more)
        if granted:
            self.pots[name] = self.pots.get(name, 0) + granted
            assert self.spent + self.aside() <= LIMIT

    def bury(self):
        """Sent calls of dead processes count as spent, and their other money is released."""
        held = {*self.pots, *(name for name, _ in self.sent)}
        for name in [name for name in held if self.beats[name] < self.lab.now - LIVE_SECONDS]:
            self.pots.pop(name, None)
            for key in [key for key in self.sent if key[0] == name]:
                amount = self.sent.pop(key)
                is_job = key[1].startswith("job")
                self.booked[key] = amount if is_job else presumed_cost(amount, self.worst.get(name, MILLION))
                self.spent += self.booked[key]
            self.worst.pop(name, None)

    def send(self, owner, amount):
        name = self.name(owner)
        amount = min(amount, self.pots.get(name, 0))
        if not amount:
            return
        self.serial += 1
        serial = f"{'job' if self.serial % 4 == 0 else ''}{self.serial}"
        self.script("SENT", name, serial, amount)
        self.reports.append((name, serial, amount))
        self.pots[name] -= amount
        self.sent[name, serial] = amount

    def say_again(self, place):
        """Repeat a report whose reply was lost."""
        if place < len(self.reports) and self.reports[place][:2] in self.sent:
            self.script("SENT", *self.reports[place])

    def settle(self, place, cost, worst):
        """Settle a call, twice; corrects the booking of a call whose owner was declared dead."""
        if place >= len(self.reports):
            return
        name, serial, amount = self.reports.pop(place)
        for _ in range(2):
            self.script("SETTLE", name, serial, cost, worst or "")
        if worst:
            self.worst[name] = worst
        if self.sent.pop((name, serial), None) is not None:
            self.spent += cost
            self.passed += max(0, cost - amount)
        elif (name, serial) in self.booked:
            counted = self.booked.pop((name, serial))
            self.spent += cost - counted
            self.passed += max(0, cost - counted)

    def spend(self, owner, cost):
        self.script("SPEND", self.name(owner), 0, cost)
        self.spent += cost
        self.passed += max(0, cost)

    def give_back(self, owner, amount):
        name = self.name(owner)
        self.script("GIVE_BACK", name, amount)
        self.pots[name] = max(0, self.pots.get(name, 0) - amount)

    def restore(self, owner, _least):
        """A returning process reports its reservations."""
        name = self.name(owner)
        self.script("RESTORE", name, self.pots.get(name, 0), 0)

    def lose(self, what):
        """Delete keys: nothing is granted until each process has reported its state and its reservations."""
        keys = what.split()
        told = any(known > (0, 0) for known in self.told.values())
        opened = self.lab.client.hexists("aside", "here")
        self.lab.client.delete(*keys)
        if opened and (len(keys) == 1 or told):
            if len(keys) == 2:
                self.script("LOOK", max(self.told, key=lambda name: self.told[name]))
            self.lab.client.zadd("peers", {"newcomer": self.lab.now})
            granted, *_ = self.script("DRAW", "newcomer", 1, 1, LIMIT, 0)
            assert granted == 0, "money is granted before lost costs are restored"
            self.told.pop("newcomer")
            self.lab.client.zrem("peers", "newcomer")
        for name in list(self.told):
            self.script("LOOK", name)
        self.lab.client.delete("new")  # as if it had expired
        if "aside" in keys:
            self.hold_anew()

    def hold_anew(self):
        mine = {name for name, amount in self.pots.items() if amount} | {name for name, _ in self.sent}
        for name in mine:
            held = self.pots.get(name, 0) + sum(part for (who, _), part in self.sent.items() if who == name)
            if self.lab.client.zscore("peers", name) is not None:
                granted, *_ = self.script("DRAW", name, 1, 1, LIMIT, held)
                assert granted == 0, "money is granted before lost reservations are restored"
        for name in mine:
            self.script("RESTORE", name, self.pots.get(name, 0), 0)
        for (name, serial), amount in self.sent.items():
            self.lab.client.hsetnx("aside", f"{name}|{serial}", amount)

    def compare(self):
        _, spent, aside = self.script("LOOK")
        assert (spent, aside) == (self.spent, self.aside())
        assert spent + aside <= LIMIT + self.passed, "the limit is exceeded by more than unreserved costs"


def check_the_rest(lab, scripts):
    """Check cases outside the schedules: another database, resets, expiry, missing peers."""
    run = Run(lab, scripts)
    lab.client.set("data", "first")

    def ask(name, *args, data="first", known=(0, 0)):
        return lab.run(scripts[name], KEYS, DAY, data, *known, *args)

    run.name("a")
    assert ask("DRAW", "a", 300, 300, LIMIT, 0) == "300 0 300 0"
    assert lab.client.pttl("aside") > 0
    assert ask("SENT", "a", "1", 100, "") == "0 0 300 0"
    for name, words in (
        ("DRAW", ("a", 1, 1, LIMIT, 0)),
        ("SETTLE", ("a", "1", 7, "")),
        ("SPEND", ("a", "0", 7, "")),
        ("GIVE_BACK", ("a", 7)),
        ("RESTORE", ("a", 7, 0)),
        ("RESET", ()),
    ):
        assert ask(name, *words, data="second", known=(3, 900)) == "lost", name
    assert ask("LOOK") == "0 0 300 0"
    assert ask("SETTLE", "a", "1", 50, "10000") == "0 50 200 0"
    assert ask("RESET") == "0 0 200 1"
    assert ask("LOOK", known=(0, 50)) == "0 0 200 1", "a reset is taken for a loss"
    assert ask("RESTORE", "a", 30, 0) == "0 0 30 1"
    assert lab.client.pttl("owners") > 0
    lab.client.persist("spent")
    assert ask("SPEND", "a", "0", 7, "") == "0 7 30 1"
    assert lab.client.pttl("spent") > 0
    lab.step(AWAY)
    run.name("b")
    assert ask("DRAW", "b", 993, 993, LIMIT, 0) == "993 7 993 1"
    assert lab.client.zrange("peers", 0, -1) == ["b"]
    assert lab.client.hkeys("owners") == []
    lab.client.delete("peers")
    run.name("c")
    assert ask("DRAW", "c", 993, 993, LIMIT, 0) == "0 7 993 1", (
        "a process that is missing in the list counts as dead"
    )
    assert lab.client.zscore("peers", "b") < lab.now
    assert ask("DRAW", "c", 993, 993, LIMIT, 0) == "0 7 993 1", (
        "a missing process has no time for a heartbeat"
    )
    lab.step(4.0)
    assert ask("DRAW", "c", 993, 993, LIMIT, 0) == "993 7 993 1"
    lab.client.delete("spent", "aside")
    assert ask("DRAW", "c", 1, 1, LIMIT, 0, known=(1, 7)) == "0 7 0 1"


def check_money(lab, scripts, *, examples, shrink=True):
    """Check all properties; an AssertionError reports the failing schedule."""

    @seed(41)
    @thorough(examples, shrink=shrink)
    @given(schedules)
    def never_past_the_limit(schedule):
        Run(lab, scripts).play(schedule)

    for schedule in DIRECTED:
        Run(lab, scripts).play(schedule)
    check_the_rest(lab, scripts)
    check_cases(lab, scripts)
    never_past_the_limit()
