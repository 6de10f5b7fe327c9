"""Stores of answers, balances and recordings.

`base` defines a store of answers; `memory` and `disk` implement it on this machine (`local` chooses), `redis`
for all processes of a namespace. `cassette` holds recorded answers beside a notebook, `day_book` the spending
of a day. `sqlite`, `files` and `fork` are shared by several of them, the usage log and the journal.
"""
