"""Context of a run through batch jobs: batch API, stored jobs, budgets and pipeline."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from ainb import pricing
from ainb.batch.input.calls import RowCalls, TemplateCalls
from ainb.batch.options import BatchOptions
from ainb.core import Core
from ainb.errors import BudgetExceededError, ConfigError
from ainb.jobs import Delivery, JobDriver, JobRecord, JobStore, logged_calls
from ainb.messages import Call, Reply, Request
from ainb.pipeline.budget import JobBudget, unpriced_text
from ainb.providers.batch_service import BatchService, find_batch_service

PICO = 12


def check_jobs(calls: RowCalls, options: BatchOptions) -> TemplateCalls:
    """Check that rows and options can be sent as batch jobs.

    Raises:
        ConfigError: They cannot; the message says why, and what works.
    """
    if not isinstance(calls, TemplateCalls):
        raise ConfigError("batch_api sends prompts; a function of one item runs here, so leave batch_api out")
    if options.concurrency is not None:
        raise ConfigError(
            f"concurrency={options.concurrency} is for rows that are sent one by one; "
            "a batch job takes all at once, so leave it out"
        )
    return calls


class JobContext:
    """A run's access to the provider's batch API, the jobs on disk, the budgets and the pipeline.

    Args:
        core: Core of the session whose pipeline the rows go through.
        calls: Calls of the rows.
        options: How rows are treated.

    Attributes:
        provider: Service name.
        model: The service's own model name.
        call: A call of the run without a row.

    Raises:
        ConfigError: The provider has no batch API.
        AinbError: The store of jobs cannot be used.
    """

    def __init__(self, core: Core, calls: RowCalls, options: BatchOptions) -> None:
        self.core = core
        self.calls = check_jobs(calls, options)
        self.call = call = self.calls.sample()
        self.provider, self.model = call.request.provider, call.request.model
        self.run_id = ""
        poll = options.batch_poll_seconds
        self.poll_seconds = core.config.batch_poll_seconds if poll is None else poll
        self.max_wait_seconds = options.max_wait_seconds
        self.clock = core.runtime.clock
        self.service: BatchService = find_batch_service(call.provider, call.request)
        self.endpoint, self.account = call.resolve_endpoint(), call.resolve_account()
        self.store = JobStore(core.config.home_folder())
        self.delivery = Delivery(core)
        self.budget: JobBudget = core.stages.job_budget
        self.shares_budget = core.stages.shared is not None
        self.driver = JobDriver(
            self.store, self.service, self.clock, account=self.account, notify=self.notify
        )

    def begin(self, run_id: str) -> None:
        """Set the run of the rows, whose budget they are charged to."""
        self.run_id = run_id
        self.call = self.calls.sample(run_id=run_id)

    def notify(self, text: str, kind: str = "jobs") -> None:
        """Show a notice to the user."""
        self.core.notify(text, kind)

    def quote(self, request: Request) -> pricing.Quote | None:
        """Maximum cost of a request at the batch rate; None without a hard budget.

        Raises:
            BudgetExceededError: The price is unknown, so that a hard budget cannot be enforced.
        """
        if not self.budget.limits.are_hard(self.call):
            return None
        quoted = pricing.quote(self.core.prices, request, free=self.call.provider.free, batch=True)
        if quoted.usd is None:
            raise BudgetExceededError(unpriced_text(f"{request.provider}:{request.model}"))
        return quoted

    def live_cost(self, call: Call, reply: Reply) -> Decimal | None:
        """Cost of a reply at the live rate; None when unknown."""
        request = call.request
        prices, free = self.core.prices, call.provider.free
        return prices.cost(request.provider, request.model, reply.usage, free=free)[0]

    async def logged(self, job: JobRecord) -> set[str]:
        """Ids of usage rows written by an earlier merge of this job; empty without one."""
        return await asyncio.to_thread(logged_calls, self.core, job) if job.merge_begun else set()

    async def flush(self) -> None:
        """Wait until usage rows are in the log and other kernels can read the stored answers."""
        await asyncio.to_thread(self.core.log.flush)
        cache = self.core.stages.cache
        if cache is not None:
            await cache.store.settle()


def pico(usd: Decimal | None) -> int | None:
    """US dollars as an integer of 1e-12 USD."""
    return None if usd is None else int(usd.scaleb(PICO).to_integral_value())


def usd(value: int) -> Decimal:
    """US dollars of an integer of 1e-12 USD."""
    return Decimal(value).scaleb(-PICO)
