"""Replay: answers from the notebook's cassette, and recording into it.

`stage` looks up the `request` in the `cassettes` of the notebook, `outcome` turns a record into a reply or an
error and back, `miss` explains a missing record. The file format is in `ainb.stores.cassette`.
"""
