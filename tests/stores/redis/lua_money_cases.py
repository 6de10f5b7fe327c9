"""Cases of the shared budget's Lua scripts about shares, and about costs booked after a loss of data."""

from __future__ import annotations

from ainb.stores.redis.heartbeat import LIVE_SECONDS
from ainb.stores.redis.money import RECALL_SECONDS, SHARE_SECONDS

KEYS = ["spent", "aside", "peers", "owners", "data", "new", "expected", "gap"]
DAY = "2026-05-04"
LIMIT = 1000


class Case:
    """A server on which processes "a", "b" ... have sent a heartbeat."""

    def __init__(self, lab, scripts, *names):
        lab.reset()
        self.lab, self.scripts = lab, scripts
        lab.client.set("data", "first")
        for name in names:
            self.beat(name)

    def beat(self, name):
        self.lab.client.zadd("peers", {name: self.lab.now})

    def ask(self, script, *args, data="first", known=(0, 0)):
        found = self.lab.run(self.scripts[script], KEYS, DAY, data, *known, *args)
        return [int(part) for part in found.split(" ")]

    def draw(self, name, need, want=0, held=0, known=(0, 0)):
        return self.ask("DRAW", name, need, max(need, want), LIMIT, held, known=known)[0]

    def lend(self, name, told=0, limit=LIMIT):
        return self.ask("LEND", name, told, limit)[0]

    def share(self, name):
        text = self.lab.client.hget("owners", f"{name}|share")
        return int(text.split(" ")[0]) if text else 0


def check_shares(lab, scripts):
    case = Case(lab, scripts, "a")
    assert case.lend("a") == 875, "a process that is alone does not get all but an eighth"
    assert case.draw("a", 100) == 100
    assert case.share("a") == 775, "a draw is not taken from the share"
    case.beat("b")
    assert case.draw("b", 126) == 0, "a share of another process is granted"
    assert case.draw("b", 125) == 125
    assert case.lend("a", 775) == 0, "a share is not called back"
    assert case.draw("b", 126) == 0, "a share is granted before its owner has confirmed that it has less"
    assert case.lend("a", 0) == 0
    assert case.draw("b", 126) == 126
    lab.step(RECALL_SECONDS + 1)
    assert case.lend("a") == (1000 - 351) // 4
    assert case.lend("b") == (1000 - 351) // 4
    assert case.lend("b", 162, 0) == 0
    assert case.share("b") == 162, "a share is smaller on the server before its owner has confirmed it"
    assert case.ask("RESTORE", "b", 251, 40)[0] == 0
    assert case.share("b") == 40
    lab.client.set("new", 1)
    assert case.lend("a", 10) == 10, "a share is changed while the data is new"
    lab.client.delete("new")
    lab.client.sadd("expected", "c")
    assert case.draw("b", 1, held=251) == 0, "money is granted before an expected process has reported"
    assert lab.client.pttl("owners") > 0


def check_sum_of_shares(lab, scripts):
    case = Case(lab, scripts, "a")
    assert case.lend("a") == 875
    case.beat("b")
    assert case.lend("b") == 125, "shares together exceed the money left"
    assert case.draw("a", 876) == 0


def check_silence(lab, scripts):
    case = Case(lab, scripts, "a", "b")
    assert case.lend("a") == 250
    assert case.draw("a", 100) == 100
    lab.step(LIVE_SECONDS + 1)
    assert case.draw("a", 1, held=100) == -1, "a silent process is granted money"
    assert case.lend("a", 150) == 0
    case.beat("b")
    case.ask("RESTORE", "a", 100, 150)
    lab.step(LIVE_SECONDS + 1)
    case.beat("b")
    assert case.draw("b", 851) == 0, "the share of a process that is cut off is granted"
    lab.client.set("gap", 1)
    lab.step(SHARE_SECONDS)
    case.beat("b")
    assert case.draw("b", 851) == 0, "a process counts as dead after a time without any heartbeat"
    lab.client.delete("gap")
    assert case.draw("b", 1000) == 1000
    assert case.share("a") == 0


def check_costs_after_a_loss(lab, scripts):
    case = Case(lab, scripts, "a", "b", "c")
    lab.client.set("new", 1)
    assert case.ask("SPEND", "a", "0", 70, known=(0, 200))[1] == 270
    assert case.ask("RESTATE", known=(0, 250))[1] == 320, "a cost is lost under a higher total"
    assert case.ask("SPEND", "b", "0", 5, known=(0, 250))[1] == 325
    assert case.ask("RESTATE", known=(0, 500))[1] == 575, "a cost is lost under a higher total"
    assert case.ask("RESTATE", known=(0, 400))[1] == 575, "a lower total replaces a higher one"
    assert case.ask("LOOK", known=(1, 900))[1] == 975, "a cost is lost under a total of a later epoch"
    assert case.ask("RESTATE", known=(0, 999))[1] == 975, "a total from before a reset is restored"
    lab.client.delete("new")
    assert case.ask("SPEND", "b", "0", 5)[1] == 980
    lab.client.set("data", "second")
    assert case.ask("RESTATE", data="second", known=(1, 985))[1] == 985, (
        "costs of an earlier loss count again"
    )


def check_cases(lab, scripts):
    """Check all cases; an AssertionError names the broken promise."""
    check_shares(lab, scripts)
    check_sum_of_shares(lab, scripts)
    check_silence(lab, scripts)
    check_costs_after_a_loss(lab, scripts)
