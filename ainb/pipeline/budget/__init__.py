"""Budget: reserves the most that a call can cost before it is sent, and settles at its actual cost.

`stage` makes the reservations through the `ledger`, which keeps the queue of waiting calls and books balances
in `accounts` (this process) or in a day book (`ainb.stores`). `billing` decides which failed attempts may be
charged.
"""
