"""Stores: where answers, balances and recordings are kept between calls.

`base` defines a store of answers; `memory` and `disk` implement it on this machine (`local` chooses), `redis`
for all processes of a namespace. `cassette` holds recorded answers beside a notebook, `day_book` the spending
of a day. `sqlite`, `files` and `fork` are what several of them, the usage log and the journal share.
"""
