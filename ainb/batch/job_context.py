"""What a run needs beyond its rows to send them as batch jobs, and how it treats them."""

from __future__ import annotations

import asyncio
import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb import pricing
from ainb.errors import BudgetExceededError, ConfigError
from ainb.events import Notice
from ainb.jobs.delivery import Delivery, logged_calls
from ainb.jobs.driver import JobDriver
from ainb.jobs.store import JobStore
from ainb.pipeline.budget.options import unpriced_text
from ainb.providers.batch_service import BatchService, find_batch_service

if TYPE_CHECKING:
    from ainb.core import Core
    from ainb.jobs.state_machine import JobRecord
    from ainb.messages import Call, Reply, Request
    from ainb.pipeline.budget.jobs import JobBudget

PICO = 12
POLL_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """How batch jobs are waited for.

    Attributes:
        poll_seconds: First wait between polls; it grows to 20 times itself and at most 300 s.
        max_wait_seconds: How long the call waits for its jobs; None means until they are done.
        retry_failed: Send rows again that the run being resumed had ended with an error.

    Raises:
        ConfigError: A number is not above 0.
    """

    poll_seconds: float = POLL_SECONDS
    max_wait_seconds: float | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        for name, value in (
            ("batch_poll_seconds", self.poll_seconds),
            ("max_wait_seconds", self.max_wait_seconds),
        ):
            number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
            if value is not None and not number:
                raise ConfigError(f"{name} must be a number of seconds above 0; it is {value!r}")


def check_call(call: Call | None, *, concurrency: int | None) -> Call:
    """Refuse what batch jobs cannot do.

    Raises:
        ConfigError: The message says why, and what works.
    """
    if call is None:
        raise ConfigError("batch_api sends prompts; a function of one item runs here, so leave batch_api out")
    if call.options.on_text is not None or call.request.parameters.get("stream"):
        raise ConfigError("a batch job has no streamed replies; leave stream out, or leave batch_api out")
    if concurrency is not None:
        raise ConfigError(
            f"concurrency={concurrency} is for rows that are sent one by one; a batch job takes all at once, so leave it out"
        )
    return call


class JobContext:
    """A run's access to the provider's batch API, the jobs on disk, the budgets and the pipeline.

    Args:
        core: Whose pipeline the rows pass.
        call: Any call of the run: its provider, endpoint, key and options are those of every row.
        options: How jobs are waited for.

    Raises:
        ConfigError: The provider has no batch API.
        AinbError: The store of jobs cannot be used.
    """

    def __init__(self, core: Core, call: Call, options: JobOptions) -> None:
        self._core = core
        self.call = call
        self.options = options
        self.clock = core.runtime.clock
        self.service: BatchService = find_batch_service(call.provider, call.request)
        self.endpoint, self.account = call.place(), call.payer()
        self.store = JobStore(core.config.home_folder())
        self.delivery = Delivery(core)
        self.budget: JobBudget = core.stages.job_budget
        self.shares_budget = core.stages.shared is not None
        self.driver = JobDriver(self.store, self.service, self.clock, account=self.account, tell=self.tell)

    zero = Decimal(0)

    @property
    def provider(self) -> str:
        """Service name."""
        return self.call.request.provider

    @property
    def model(self) -> str:
        """The service's own model name."""
        return self.call.request.model

    def tell(self, text: str, kind: str = "jobs") -> None:
        """One line for the user."""
        self._core.runtime.sink(Notice(text, kind))

    def claim(self, call: Call, run_id: str) -> str:
        """What no two open jobs of a home hold at once: the row and the key, and the run where the answer is not shared."""
        own = f"{run_id}|" if call.options.cache != "use" else ""
        return hashlib.sha256(f"{own}{call.row_key}|{self.account}".encode()).hexdigest()

    async def prepare(self) -> None:
        """Load what loads slowly, before rows are quoted or replies priced."""
        await asyncio.to_thread(pricing.preload)

    def quote(self, request: Request) -> pricing.Quote | None:
        """The most that a request can cost at the batch rate; None where no hard budget asks for it.

        Raises:
            BudgetExceededError: No price is known, and a hard budget cannot hold what it cannot count.
        """
        if not self.budget.limits(self.call):
            return None
        quoted = pricing.quote(self._core.prices, request, free=self.call.provider.free, batch=True)
        if quoted.usd is None:
            raise BudgetExceededError(unpriced_text(f"{request.provider}:{request.model}"))
        return quoted

    def live_cost(self, call: Call, reply: Reply) -> Decimal | None:
        """What a reply would have cost live; None when unknown."""
        request = call.request
        return self._core.prices.cost(request.provider, request.model, reply.usage, free=call.provider.free)[
            0
        ]

    async def logged(self, job: JobRecord) -> set[str]:
        """Ids of usage rows that an earlier merge of this job has written; empty when there was none."""
        return await asyncio.to_thread(logged_calls, self._core, job) if job.merge_begun else set()

    async def flush_log(self) -> None:
        """Wait until every usage row is in the log."""
        await asyncio.to_thread(self._core.log.flush)


def pico(usd: Decimal | None) -> int | None:
    """Money as a whole number of 1e-12 USD."""
    return None if usd is None else int(usd.scaleb(PICO).to_integral_value())


def usd(value: int) -> Decimal:
    """USD of a number of 1e-12 USD."""
    return Decimal(value).scaleb(-PICO)
