"""Shows the forecast of a batch before it is sent, and requires confirmation above a limit."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

from ainb.batch.forecast.forecast import Forecast, forecast
from ainb.batch.input.calls import TemplateCalls
from ainb.batch.input.source import Source
from ainb.batch.options import BatchOptions
from ainb.core import Core
from ainb.errors import NotConfirmedError
from ainb.pipeline.budget import read_usd
from ainb.pricing import format_usd


def announce(core: Core, source: Source, calls: TemplateCalls, options: BatchOptions) -> None:
    """Show the forecast if a user is watching, and ask for confirmation above the limit.

    Raises:
        NotConfirmedError: The forecast is above the limit and was not confirmed; nothing was sent.
    """
    limit = options.confirm_above_usd
    limit = core.config.confirm_above_usd if limit is None else read_usd("confirm_above_usd", limit)
    asks = limit is not None and core.config.replay != "replay" and not calls.free
    if options.watcher is None and not asks:
        return
    found = forecast(core, source, calls, batch_api=options.batch_api)
    if options.watcher is not None and found is not None:
        core.notify(found.text, "forecast")
    if asks and limit is not None:
        _confirm(core, found, limit)


def _confirm(core: Core, found: Forecast | None, limit: Decimal) -> None:
    price = None if found is None else found.price
    if price is not None and price.likely <= limit:
        return
    if price is not None:
        cost = f"this batch is likely to cost {format_usd(price.likely)}, more than"
    else:
        cost = "what this batch will cost is not known before it is sent, so it has to be confirmed:"
    text = f"{cost} confirm_above_usd = {format_usd(limit)}"
    answer = core.runtime.confirm(f"{text[0].upper()}{text[1:]}. Send it?")
    if answer:
        return
    if answer is not None:
        raise NotConfirmedError(f"{text}; it was not confirmed, and nothing was sent")
    enough = "1000000" if price is None else str(_rounded_up(price.likely))
    raise NotConfirmedError(
        f"{text}; nobody could be asked, and nothing was sent; "
        f"allow it with --confirm-above {enough} (confirm_above_usd={enough})"
    )


def _rounded_up(usd: Decimal) -> Decimal:
    """Round up to two significant digits, from ten cents on to whole cents."""
    last = Decimal("0.01") if usd >= Decimal("0.1") else Decimal(1).scaleb(usd.adjusted() - 1)
    return usd.quantize(last, rounding=ROUND_UP)
