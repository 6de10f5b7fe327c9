"""Concurrency of a batch: the ramp, its cap, and the concurrency that earlier batches reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.batch.input.calls import FunctionCalls, RowCalls
from ainb.batch.options import BatchOptions
from ainb.pipeline.rate_limit import START, Limiter, Ramp, RateLimit

if TYPE_CHECKING:
    from ainb.core import Core

DEFAULT_CONCURRENCY = 64


class Pace:
    """Limit of the rows in flight; see `ainb.pipeline.rate_limit.ramp` for how it adapts.

    A batch starts with 16 rows, or with the concurrency that the last one of the same provider, model and
    account reached. A requested concurrency raises the default cap of 64 calls while the batch runs; a cap
    that the user has configured holds, and a notice names it once.

    Args:
        core: Core of the session.
        calls: Calls of the rows.
        options: Options of the batch.
    """

    def __init__(self, core: Core, calls: RowCalls, options: BatchOptions) -> None:
        self._core = core
        self._calls = calls
        # No ramp for a local model's slots and for a user's function, whose concurrency is known.
        self._is_function = isinstance(calls, FunctionCalls)
        self._fixed = options.fixed_concurrency or calls.slots is not None
        self._fixed = self._fixed or (self._is_function and options.concurrency is not None)
        most, self._raised_to = self._read_cap(options.concurrency)
        self._ramp = Ramp(most, start=most if self._fixed else START)
        self._limiter: Limiter | None = None
        self._place: tuple[str, ...] = ()
        self._was_asked = False

    @property
    def limit(self) -> int:
        """Rows that may be in flight now."""
        return self._ramp.limit

    @property
    def most(self) -> float:
        """Rows that may ever be in flight; infinite where nothing limits them."""
        return self._ramp.most

    def begin(self) -> None:
        """Start with the concurrency of the last batch, and raise the cap if requested."""
        core, sample = self._core, self._calls.sample()
        self._place = (sample.request.provider, sample.request.model, sample.resolve_account())
        now = core.runtime.clock.monotonic()
        if not self._fixed and not self._is_function:
            reached = core.stages.reached.find(self._place, core.runtime.clock.unix())
            if reached is not None:
                self._ramp = Ramp(self._ramp.most, start=reached)
        if core.stages.rate_limit is None:
            return
        self._limiter = core.stages.rate_limit.limiter(sample)
        if self._raised_to is not None:
            self._limiter.raise_cap(self._raised_to)
        if self._fixed or self.limit > START:
            self._limiter.start_at(self.limit)
            self._ramp.raise_to(self.limit, now=now)

    def end(self) -> None:
        """Restore the cap, and store the concurrency that was reached."""
        if self._limiter is not None and self._raised_to is not None:
            self._limiter.lower_cap(self._raised_to)
        if self._was_asked and not self._fixed and not self._is_function:
            self._core.stages.reached.keep(self._place, self.limit, self._core.runtime.clock.unix())

    def succeeded(self, *, workers: int, asked: bool) -> None:
        """Register an answered row.

        Args:
            workers: Rows in flight, and workers that are about to take one.
            asked: Whether the answer came from the model.
        """
        self._was_asked = self._was_asked or asked
        before = self.limit
        self._ramp.succeeded(in_flight=workers, now=self._core.runtime.clock.monotonic())
        if self._limiter is None:
            return
        if self._limiter.hinted is not None:
            self._ramp.hint(self._limiter.hinted)
        if self.limit > before and not self._ramp.overloaded_once:
            # The limiter's own ramp lags behind: it counts the row of a free worker only once it is sent.
            self._limiter.start_at(self.limit)

    def overloaded(self, *, started_at: float) -> None:
        """Register a 429 or 529 for a call that was sent at `started_at`."""
        self._ramp.overloaded(started_at=started_at, now=self._core.runtime.clock.monotonic())

    def _read_cap(self, asked: int | None) -> tuple[int, int | None]:
        """Maximum rows in flight, and the value to which the rate limit's cap must be raised, or None."""
        slots, limits = self._calls.slots, self._core.config.rate_limit
        cap = None if limits is None else limits.concurrency
        if asked is None:
            most = cap or DEFAULT_CONCURRENCY
            return min(most, slots or most), None
        if slots is not None and asked > slots:
            self._notify_cap(asked, f"{self._calls.model} answers {slots} at once")
            return slots, None
        user = self._core.config.user_rate_limit if self._calls.sample().options.user else None
        if user is not None and user.concurrency is not None and asked > user.concurrency:
            self._notify_cap(asked, f"the rate limit of each user, concurrency={user.concurrency}, holds it")
            return min(user.concurrency, cap or user.concurrency), None
        if cap is None or asked <= cap:
            return asked, None
        if cap == RateLimit.concurrency:  # the default, which nobody chose; an explicit 64 looks the same
            return asked, asked
        self._notify_cap(asked, f"RateLimit(concurrency={cap}) holds it; raise that limit")
        return cap, None

    def _notify_cap(self, asked: int, reason: str) -> None:
        self._core.notify(f"the batch does not reach {asked} rows at once: {reason}", "concurrency")
