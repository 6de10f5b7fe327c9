"""Mutants of the rate limiter: each is one plausible mistake that the property suite must detect."""

from __future__ import annotations

from tests.mutation import Mutant

BUCKETS = "ainb.pipeline.rate_limit.buckets"
CORE = "ainb.pipeline.rate_limit.queue"
LOCAL = "ainb.pipeline.rate_limit.local"
CHAIN = (BUCKETS, "ainb.pipeline.rate_limit.permits", CORE, LOCAL)

MUTANTS = [
    Mutant(
        BUCKETS,
        "self.level = level if level < self.capacity else self.capacity",
        "self.level = level",
        "a bucket is never full",
    ),
    Mutant(
        BUCKETS,
        "return max(1.0, limit / BURST_SHARE), limit / WINDOW_SECONDS",
        "return max(1.0, limit), limit / WINDOW_SECONDS",
        "a bucket as large as the limit",
    ),
    Mutant(
        BUCKETS,
        "self.level + reserved - actual)",
        "self.level)",
        "unused tokens are not returned",
    ),
    Mutant(
        BUCKETS,
        "self.level = min(self.capacity, self.level + reserved - actual)",
        "self.level = self.level + reserved - actual",
        "returned tokens overfill the bucket",
    ),
    Mutant(
        BUCKETS,
        "short = min(amount, self.capacity) + ahead - self.level",
        "short = amount + ahead - self.level",
        "a request larger than the bucket never fits",
    ),
    Mutant(
        BUCKETS,
        "        self.level -= amount\n",
        "        self.level = max(0.0, self.level - amount)\n",
        "a large request leaves no debt",
    ),
    Mutant(
        BUCKETS,
        "if self.in_flight >= self.concurrency:",
        "if self.in_flight > self.concurrency:",
        "one call too many in flight",
    ),
    Mutant(
        BUCKETS,
        "if wait > longest:  # noqa",
        "if wait >= 0:  # noqa",
        "the last dimension decides, not the longest wait",
    ),
    Mutant(
        BUCKETS,
        "self.level = min(self.level, remaining)",
        "self.level = remaining",
        "a remaining header raises the level",
    ),
    Mutant(
        BUCKETS,
        "bucket.resize(min(self._limits[index]) * self._share, now)",
        "bucket.resize(self._limits[index][1] * self._share, now)",
        "a learnt limit replaces a lower configured one",
    ),
    Mutant(
        BUCKETS,
        "excess = self.in_flight + self.recent_sum",
        "excess = self.recent_sum",
        "strict ignores calls in flight",
    ),
    Mutant(
        BUCKETS,
        "self.recent.append((now, actual))",
        "self.recent.append((now - 30, actual))",
        "strict forgets after half a minute",
    ),
    Mutant(
        CORE,
        "if self.queues and not self._may_pass(queue, now):",
        "if queue in self.queues and not self._may_pass(queue, now):",
        "new calls pass those in other queues",
    ),
    Mutant(
        CORE,
        "return queue not in self.queues and all(",
        "return all(",
        "new calls pass the queue of their user",
    ),
    Mutant(
        CORE,
        "head.number < first.number",
        "head.number > first.number",
        "the newest head of the queues goes first",
    ),
    Mutant(CORE, "permit.settled = True", "permit.settled = False", "a permit is returned twice"),
    Mutant(CORE, "            queue.pool.take(cost)\n", "            pass\n", "user limits are not charged"),
    Mutant(CORE, "    pool.in_flight -= 1", "    pass", "slots of a user are not returned"),
    Mutant(CORE, "permit.pool.in_flight -= 1", "pass", "slots are not returned"),
    Mutant(
        CORE,
        "max(self.shared.wait(first.cost, now), self.paused_until - now)",
        "self.shared.wait(first.cost, now)",
        "queued calls are granted during a pause",
    ),
    Mutant(
        CORE,
        "if self.paused_until > now or self.shared.wait(cost, now) > 0:",
        "if self.shared.wait(cost, now) > 0:",
        "new calls are granted during a pause",
    ),
    Mutant(
        CORE,
        "self._timer[0] is not waiter or self._timer[1] > now + wait",
        "self._timer[0] is not waiter",
        "a timer is not moved when tokens are returned early",
    ),
    Mutant(
        CORE,
        "        self.forget_timer(waiter)\n\n    def forget_timer",
        "\n    def forget_timer",
        "a cancelled waiter cancels the timer",
    ),
    Mutant(
        LOCAL,
        "self._core.settle(waiter.permit, NOTHING, now)",
        "pass",
        "granted and cancelled in the same tick leaks the permit",
    ),
    Mutant(
        LOCAL,
        "            self._core.settle(permit, used, now, answered=answered)\n"
        "            woken = self._core.pump(now) if self._core.queues else None\n",
        "            self._core.settle(permit, used, now, answered=answered)\n            woken = None\n",
        "a returned permit wakes no waiter",
    ),
    Mutant(
        LOCAL,
        "        except BaseException:\n            self._leave(entry.waiter)\n            raise\n",
        "        except Exception:\n            self._leave(entry.waiter)\n            raise\n",
        "a cancelled waiter stays in the queue",
    ),
    Mutant(
        LOCAL,
        "            self._core.forget_timer(waiter)\n",
        "",
        "a timer is set only once",
    ),
]
