"""SQL of the day book. Money is stored in whole picodollars (1e-12 USD), so that sums are exact.

A value that ainb does not write (text, negative, out of range) counts as nothing, and sums saturate: SQLite
would turn a sum beyond 64 bits into a float.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

PICO_DIGITS = 12
# Above every possible limit of a budget; the sum of two such amounts still fits 64 bits.
MOST_PICO = 4 * 10**18
# Shares of an estimate are stored in millionths.
MILLION = 1_000_000
HEADROOM = 2
_MOST_USD = Decimal(MOST_PICO).scaleb(-PICO_DIGITS)

_IS_AMOUNT = f"(typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {MOST_PICO})"
_AMOUNT = f"CASE WHEN {_IS_AMOUNT} THEN {{0}} ELSE 0 END"
_SPENT = _AMOUNT.format("settled")
_RESERVED = _AMOUNT.format("amount")
_SETTLED = f"coalesce((SELECT {_SPENT} FROM spent WHERE account = :account), 0)"  # noqa: S608 - fixed text
_HELD = f"coalesce((SELECT sum({_RESERVED}) FROM held WHERE account = :account), 0)"  # noqa: S608 - fixed text
_ADD = f"ON CONFLICT (account) DO UPDATE SET settled = min({_SPENT} + excluded.settled, {MOST_PICO})"

SCHEMA = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS spent (account TEXT PRIMARY KEY, settled INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS held (account TEXT, owner TEXT, token INTEGER, amount INTEGER NOT NULL, "
        "sent INTEGER NOT NULL, PRIMARY KEY (account, owner, token)) WITHOUT ROWID"
    ),
    "CREATE TABLE IF NOT EXISTS ratios (owner TEXT PRIMARY KEY, worst INTEGER NOT NULL) WITHOUT ROWID",
)
BALANCE = f"SELECT {_SETTLED}, {_HELD}"
# One statement is one transaction, which takes the write lock at its start: no other process can write
# between the sums and the insertion.
RESERVE = (
    "INSERT INTO held SELECT :account, :owner, :token, :amount, 0 "
    f"WHERE {_SETTLED} + {_HELD} + :amount <= :limit"
)
SENT = "UPDATE held SET sent = 1 WHERE account = ? AND owner = ? AND token = ?"
DROP = "DELETE FROM held WHERE account = ? AND owner = ? AND token = ?"
SPEND = f"INSERT INTO spent VALUES (?, ?) {_ADD} RETURNING settled"  # noqa: S608 - fixed text
# A job that is already settled has no row left and adds nothing.
SPEND_JOB = (
    f"INSERT INTO spent SELECT ?, ? WHERE EXISTS (SELECT 1 FROM held WHERE account = ? AND owner = ?) {_ADD}"  # noqa: S608 - fixed text
)
# A call sent by a dead process counts as the smaller of two bounds: its estimate, or HEADROOM times the
# highest share of an estimate that a call of the process actually cost.
_SHARE = (
    f"coalesce((SELECT {HEADROOM} * worst FROM ratios WHERE owner = :owner "  # noqa: S608 - fixed text
    f"AND typeof(worst) = 'integer' AND worst BETWEEN 0 AND {MILLION}), {MILLION})"
)
INHERIT = (
    f"INSERT INTO spent SELECT account, sum(min({_RESERVED}, ({_RESERVED} / {MILLION} + 1) * {_SHARE})) "  # noqa: S608 - fixed text
    f"FROM held WHERE owner = :owner AND sent GROUP BY account {_ADD}"
)
DELETE_HELD = "DELETE FROM held WHERE owner = :owner"
DELETE_RATIO = "DELETE FROM ratios WHERE owner = :owner"
NOTE_RATIO = "INSERT INTO ratios VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET worst = excluded.worst"
OWNERS = "SELECT DISTINCT owner FROM held"
HAS_OTHER_VALUES = (
    f"SELECT EXISTS (SELECT 1 FROM spent WHERE NOT {_IS_AMOUNT.format('settled')}) "  # noqa: S608 - fixed text
    f"OR EXISTS (SELECT 1 FROM held WHERE NOT {_IS_AMOUNT.format('amount')})"
)


def pico(usd: Decimal) -> int:
    """Convert USD to whole picodollars, rounded up; an amount beyond every budget becomes MOST_PICO."""
    return int(min(usd, _MOST_USD).scaleb(PICO_DIGITS).to_integral_value(ROUND_CEILING))


def usd_of(amount: int) -> Decimal:
    """Convert picodollars to USD."""
    return Decimal(amount).scaleb(-PICO_DIGITS)
