"""SQL of the day book. Money is stored in whole picodollars (1e-12 USD), so that sums are exact.

A value that ainb does not write (text, negative, out of range) counts as 0. Sums saturate, because SQLite
would turn a sum beyond 64 bits into a float.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

PICO_DIGITS = 12
# Above every possible limit of a budget; the sum of two such amounts still fits 64 bits.
MOST_PICO = 4 * 10**18
# Token of a process's drawn money; earlier versions wrote one reservation per call, with other tokens.
DRAWN = 0
_MOST_USD = Decimal(MOST_PICO).scaleb(-PICO_DIGITS)

_IS_AMOUNT = f"(typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {MOST_PICO})"
_AMOUNT = f"CASE WHEN {_IS_AMOUNT} THEN {{0}} ELSE 0 END"
_SPENT = _AMOUNT.format("settled")
_RESERVED = _AMOUNT.format("amount")
_SETTLED = f"coalesce((SELECT {_SPENT} FROM spent WHERE account = :account), 0)"  # noqa: S608 - fixed text
_HELD = f"coalesce((SELECT sum({_RESERVED}) FROM held WHERE account = :account), 0)"  # noqa: S608 - fixed text
_HELD_BY_OTHERS = (
    f"coalesce((SELECT sum({_RESERVED}) FROM held WHERE account = :account "  # noqa: S608 - fixed text
    f"AND NOT (owner = :owner AND token = {DRAWN})), 0)"
)
_ADD = f"ON CONFLICT (account) DO UPDATE SET settled = min({_SPENT} + excluded.settled, {MOST_PICO})"

# Replaces the booked cost of a dead process for which another process has settled.
SETTLED = -1

SCHEMA = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS spent (account TEXT PRIMARY KEY, settled INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS held (account TEXT, owner TEXT, token INTEGER, amount INTEGER NOT NULL, "
        "sent INTEGER NOT NULL, PRIMARY KEY (account, owner, token)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS booked (owner TEXT, account TEXT, cost INTEGER NOT NULL, "
        "PRIMARY KEY (owner, account)) WITHOUT ROWID"
    ),
)

OTHERS = f"SELECT {_SETTLED}, {_HELD_BY_OTHERS}"
# One statement is one transaction, which takes the write lock at its start: no other process can write
# between the sums and the insertion.
RESERVE = (
    "INSERT INTO held SELECT :account, :owner, :token, :amount, 0 "
    f"WHERE {_SETTLED} + {_HELD} + :amount <= :limit"
)
KEEP = "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)"
DROP = "DELETE FROM held WHERE account = ? AND owner = ? AND token = ?"
SPEND = f"INSERT INTO spent VALUES (?, ?) {_ADD} RETURNING settled"  # noqa: S608 - fixed text
BOOKED = "INSERT OR REPLACE INTO booked VALUES (?, ?, ?)"
RESET = "DELETE FROM spent WHERE account = ?"
# A job that is already settled has no row left and adds nothing.
SPEND_JOB = (
    f"INSERT INTO spent SELECT ?, ? WHERE EXISTS (SELECT 1 FROM held WHERE account = ? AND owner = ?) {_ADD}"  # noqa: S608 - fixed text
)
# Calls that were sent when their session closed, and those of earlier versions.
INHERIT = (
    f"INSERT INTO spent SELECT account, sum({_RESERVED}) "  # noqa: S608 - fixed text
    f"FROM held WHERE owner = :owner AND sent GROUP BY account {_ADD}"
)
GRANTS = f"SELECT account, {_RESERVED} FROM held WHERE owner = :owner AND token = {DRAWN} AND NOT sent"  # noqa: S608 - fixed text
DELETE_HELD = "DELETE FROM held WHERE owner = :owner"
BOOKED_OF = "SELECT account, cost FROM booked WHERE owner = :owner"
DELETE_BOOKED = "DELETE FROM booked WHERE owner = :owner"
OWNERS = "SELECT owner FROM held UNION SELECT owner FROM booked"
HAS_OTHER_VALUES = (
    f"SELECT EXISTS (SELECT 1 FROM spent WHERE NOT {_IS_AMOUNT.format('settled')}) "  # noqa: S608 - fixed text
    f"OR EXISTS (SELECT 1 FROM held WHERE NOT {_IS_AMOUNT.format('amount')})"
)


def pico(usd: Decimal) -> int:
    """Convert USD to whole picodollars, rounded up; an amount beyond every budget becomes MOST_PICO."""
    return int(min(usd, _MOST_USD).scaleb(PICO_DIGITS).to_integral_value(ROUND_CEILING))


def usd_of(amount: int) -> Decimal:
    """Picodollars as USD."""
    return Decimal(amount).scaleb(-PICO_DIGITS)
